package cli

import (
	"context"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

type openFlags struct {
	TTL      time.Duration `name:"ttl" placeholder:"TIME" help:"How long the log stays open without new lines, for example 90m (5h; at most 24h)."`
	Truncate bool          `help:"Drop the lines of a log that is already open; by default they are kept."`
}

type ciOpen struct {
	ciKey
	openFlags
}

func (*ciOpen) Help() string { return example("log-service cistream open 1 2 3 4") }

func (c *ciOpen) Run(ctx context.Context, s *session) error {
	t, err := c.only(s)
	if err != nil {
		return err
	}
	return c.open(ctx, s, t)
}

type idOpen struct {
	idKey
	openFlags
}

func (*idOpen) Help() string { return example(`log-service stream open default "" 1/2/3/4`) }

func (c *idOpen) Run(ctx context.Context, s *session) error {
	t, err := c.resolve()
	if err != nil {
		return err
	}
	return c.open(ctx, s, t)
}

func (f *openFlags) open(ctx context.Context, s *session, t target) error {
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
