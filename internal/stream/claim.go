package stream

import (
	"context"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Stat implements logs.Streams.
func (e *Engine) Stat(_ context.Context, id logservice.ID) (logs.Info, error) {
	s, err := e.lookup(id)
	if err != nil {
		return logs.Info{}, err
	}
	return s.info(e.clock()), nil
}

// Due implements logs.Streams.
func (e *Engine) Due(ctx context.Context) ([]logs.Info, error) {
	all, err := e.List(ctx, logs.Filter{})
	due := all[:0]
	for _, info := range all {
		if info.Closed || info.TTL <= 0 {
			due = append(due, info)
		}
	}
	return due, err
}

// Claim implements logs.Streams. One service alone uses the engine, so a claim
// is nothing but the stream that it means.
func (e *Engine) Claim(_ context.Context, id logservice.ID) (logs.Claim, error) {
	s, err := e.lookup(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed || s.deleting || s.deleted {
		return nil, logservice.ErrStreamNotFound
	}
	return &claim{s: s, how: s.how}, nil
}

type claim struct {
	s   *stream
	how logs.Closing
}

// How implements logs.Claim.
func (c *claim) How() logs.Closing { return c.how }

// Held implements logs.Claim.
func (c *claim) Held(context.Context) error { return nil }

// Delete implements logs.Claim.
func (c *claim) Delete(context.Context) error { return c.s.eng.remove(c.s) }

// Release implements logs.Claim.
func (c *claim) Release(context.Context) {}
