package redis

import (
	"context"
	"errors"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// claim is a closed stream that this node archives. Another node may take it
// over once this one has been silent for its lease.
type claim struct {
	handle
	how       logs.Closing
	lifecycle *lifecycle
}

// claim claims a closed stream; with take also from a live node.
func (l *lifecycle) claim(ctx context.Context, name string, take bool) (logs.Claim, error) {
	dead, taking := "", "0"
	if take {
		taking = "1"
	}
	for {
		a, err := l.call(ctx, l.redis.scripts.claim, name, l.members.now(), l.id(), dead, itoa(nodeLease.Milliseconds()), taking)
		if err != nil {
			return nil, err
		}
		switch a.int(0) {
		case 0:
			return nil, logservice.ErrStreamNotFound
		case 1:
			return &claim{l.handle(name, a.text(1)), decodeHow(a.text(2)), l}, nil
		}
		if dead = a.text(1); !l.members.isDead(ctx, dead) {
			return nil, logs.ErrClaimed
		}
	}
}

// How implements logs.Claim.
func (c *claim) How() logs.Closing { return c.how }

// Commit implements logs.Claim.
func (c *claim) Commit(ctx context.Context) error { return c.change(ctx, "commit") }

// Rollback implements logs.Claim. If it fails, the claim can be taken once this
// node claims the stream again, or is silent for its lease.
func (c *claim) Rollback(ctx context.Context) {
	if err := c.change(ctx, "rollback"); err != nil && !errors.Is(err, logs.ErrClaimed) {
		c.log.Info("cannot roll back a claim; it can be taken only after it is claimed again", "error", err)
	}
}

// change changes the claim if this node still has it.
func (c *claim) change(ctx context.Context, to string) error {
	a, err := c.call(ctx, c.redis.scripts.held, c.name, c.members.now(), c.id(), c.gen, to)
	if err == nil && a.int(0) == 0 {
		return logs.ErrClaimed
	}
	return err
}

// Delete implements logs.Claim.
func (c *claim) Delete(ctx context.Context) error {
	return c.lifecycle.delete(ctx, c.name, c.gen, c.id())
}

// Release implements logs.Claim.
func (c *claim) Release(ctx context.Context) {
	if err := c.change(ctx, "release"); err != nil && !errors.Is(err, logs.ErrClaimed) {
		c.log.Info("a claim remains until this node's lease expires", "error", err)
	}
}
