package cli

import (
	"context"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

type openFlags struct {
	noArgument
	TTL      time.Duration `name:"ttl" placeholder:"TIME" help:"How long the log stays open without new lines, for example 90m (5h; at most 24h)."`
	Truncate bool          `help:"Drop the lines of a log that is already open; by default they are kept."`
}

func (openFlags) help() string {
	return example("log-service cistream open 1 2 3 4")
}

func (openFlags) idExample() string { return `log-service stream open default "" 1/2/3/4` }

func (f openFlags) run(ctx context.Context, s *session, t target, _ *string) error {
	if f.TTL < 0 || f.TTL > logservice.MaxTTL {
		return usagef("--ttl %v: must be at most %v", f.TTL, logservice.MaxTTL)
	}
	c, err := s.client(t, oneShot)
	if err != nil {
		return err
	}
	var opts []client.OpenOption
	if f.TTL > 0 {
		opts = append(opts, client.TTL(f.TTL))
	}
	if f.Truncate {
		opts = append(opts, client.Truncate())
	}
	return c.Open(ctx, t.key, opts...)
}
