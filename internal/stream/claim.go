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

// Claim implements logs.Streams. This engine has only one server, so a claim is
// just a reference to the stream.
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

// Take implements logs.Streams. A missing stream may be one whose deletion is
// not durable yet, so the log is settled first.
func (e *Engine) Take(ctx context.Context, id logservice.ID) (c logs.Claim, err error) {
	err = e.wal.despiteFullDisk(ctx, func() error {
		c, err = e.take(ctx, id)
		return err
	})
	return c, err
}

func (e *Engine) take(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	if e.wal != nil {
		// What was reverted is back in its previous state, whatever it failed of.
		if err := e.wal.settle(ctx); err != nil {
			return nil, err
		}
	}
	s, err := e.lookup(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	closed, how, deleting, g := s.closed, s.how, s.deleting || s.deleted, s.staging
	s.mu.Unlock()
	if deleting {
		if err := g.wait(ctx); err != nil {
			return nil, err
		}
	}
	if !closed || deleting {
		return nil, logservice.ErrStreamNotFound
	}
	return &claim{s: s, how: how, durable: true}, nil
}

type claim struct {
	s       *stream
	how     logs.Closing
	durable bool // Delete waits until no crash can bring the stream back
}

// How implements logs.Claim.
func (c *claim) How() logs.Closing { return c.how }

// Commit implements logs.Claim.
func (c *claim) Commit(context.Context) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.deleting || c.s.deleted {
		return logservice.ErrStreamNotFound
	}
	return nil
}

// Rollback implements logs.Claim. Within one server, the holder of a claim
// waits until its archiving has succeeded or failed.
func (c *claim) Rollback(context.Context) {}

// Delete implements logs.Claim.
func (c *claim) Delete(ctx context.Context) error { return c.s.eng.remove(ctx, c.s, c.durable) }

// Release implements logs.Claim.
func (c *claim) Release(context.Context) {}
