package cli

import (
	"context"
	"errors"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

type closeFlags struct {
	noArgument
	Snapshot *bool `negatable:"" help:"Archive the log, as by default; with --no-snapshot, discard its lines."`
	Prefix   bool  `help:"Close every live log at and below the key."`
}

func (closeFlags) help() string {
	return example("log-service cistream close 1 2 3 4", "log-service cistream close --prefix 1/2")
}

func (closeFlags) idExample() string { return `log-service stream close default "" 1/2/3/4` }

func (f closeFlags) run(ctx context.Context, s *session, t target, _ *string) error {
	c, err := s.client(t, oneShot)
	if err != nil {
		return err
	}
	var opts []client.CloseOption
	if f.Snapshot != nil {
		opts = append(opts, client.Snapshot(*f.Snapshot))
	}
	if f.Prefix {
		return c.CloseUnder(ctx, t.key, opts...)
	}
	err = c.Close(ctx, t.key, opts...)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		return withHint(err, "nothing is live under %[1]s: see %[2]s cistream info; one that has ended: %[2]s cistore download %[1]s", t.key, s.Name)
	}
	return err
}
