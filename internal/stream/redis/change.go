package redis

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Open implements logs.Streams.
func (e *Engine) Open(ctx context.Context, id logservice.ID, o logs.OpenOptions) error {
	ttl := o.TTL
	if ttl <= 0 {
		ttl = logservice.DefaultTTL
	}
	ttl = min(ttl, logservice.MaxTTL)
	truncate := "0"
	if o.Truncate {
		truncate = "1"
	}
	start := header{kind: kindStart, lines: 1, clock: e.clock().Milliseconds(), node: e.node}
	b, name := e.bucket(id)
	a, err := e.call(ctx, e.scripts.open, b.root, name, e.now(), token(), itoa(ttl.Milliseconds()), truncate, start.text())
	if err != nil {
		return err
	}
	if a.int(0) == 2 {
		return &logservice.UnavailableError{Cause: logservice.Errorf(logservice.ErrUnavailable,
			"the stream was closed and is being archived"), RetryAfter: time.Second}
	}
	if old := a.text(2); old != "" {
		b.sawEnd(mark{name: name, gen: old, state: markDeleted, next: a.int(3)})
		b.ended(name, old, a.int(3))
	}
	if dead := a.text(1); dead != "" {
		e.bury(b, name, dead)
	}
	return nil
}

func (e *Engine) bucket(id logservice.ID) (b *bucket, name string) {
	name = nameOf(id)
	return e.buckets[bucketOf(name)], name
}

// Close implements logs.Streams. The node that closes is the one to archive.
func (e *Engine) Close(ctx context.Context, id logservice.ID, how logs.Closing) error {
	b, name := e.bucket(id)
	// What this node saw and a fail-over lost is told: nobody comes who has it.
	gen, seen := b.seen(name)
	a, err := e.call(ctx, e.scripts.close, b.root, name, e.now(), e.node, encodeHow(how), gen, itoa(seen))
	if err != nil {
		return err
	}
	b.tails.forget(name)
	if a.int(0) == 0 {
		return logservice.ErrStreamNotFound
	}
	b.sawEnd(mark{name: name, gen: a.text(1), state: markClosed, how: decodeHow(a.text(3)), next: a.int(2)})
	b.ended(name, a.text(1), a.int(2))
	return nil
}

// Delete implements logs.Streams.
func (e *Engine) Delete(ctx context.Context, id logservice.ID) error {
	b, name := e.bucket(id)
	return e.remove(ctx, b, name, "", "")
}

// remove deletes a stream: the one of generation gen that claimant has
// claimed, or whichever there is where both are empty.
func (e *Engine) remove(ctx context.Context, b *bucket, name, gen, claimant string) error {
	a, err := e.call(ctx, e.scripts.delete, b.root, name, e.now(), gen, claimant)
	if err != nil {
		return err
	}
	b.tails.forget(name)
	if a.int(0) == 0 {
		return logservice.ErrStreamNotFound
	}
	b.sawEnd(mark{name: name, gen: a.text(1), state: markDeleted, next: a.int(3)})
	b.ended(name, a.text(1), a.int(3))
	if a.int(2) == 1 {
		e.bury(b, name, a.text(1))
	}
	return nil
}

// Claim implements logs.Streams.
func (e *Engine) Claim(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	return e.claim(ctx, id, "0")
}

// Take implements logs.Streams.
func (e *Engine) Take(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	return e.claim(ctx, id, "1")
}

func (e *Engine) claim(ctx context.Context, id logservice.ID, take string) (logs.Claim, error) {
	b, name := e.bucket(id)
	dead := ""
	for {
		a, err := e.call(ctx, e.scripts.claim, b.root, name, e.now(), e.node, dead, itoa(nodeLease.Milliseconds()), take)
		if err != nil {
			return nil, err
		}
		switch a.int(0) {
		case 0:
			return nil, logservice.ErrStreamNotFound
		case 1:
			return &claim{e: e, b: b, name: name, gen: a.text(1), how: decodeHow(a.text(2))}, nil
		}
		if dead = a.text(1); !e.dead(ctx, dead) {
			return nil, logs.ErrClaimed
		}
	}
}

// claim is a closed stream that this node archives. Another node may take it
// over once this one has been silent for its lease.
type claim struct {
	e         *Engine
	b         *bucket
	name, gen string
	how       logs.Closing
}

// How implements logs.Claim.
func (c *claim) How() logs.Closing { return c.how }

// Commit implements logs.Claim.
func (c *claim) Commit(ctx context.Context) error { return c.change(ctx, "commit") }

// Rollback implements logs.Claim. Where it fails, the claim can be taken once
// this node claims the stream again, or is silent for its lease.
func (c *claim) Rollback(ctx context.Context) {
	if err := c.change(ctx, "rollback"); err != nil && !errors.Is(err, logs.ErrClaimed) {
		c.e.log.Info("cannot roll back a claim; it can be taken only after it is claimed again", "error", err)
	}
}

// change changes the claim if it stands.
func (c *claim) change(ctx context.Context, to string) error {
	a, err := c.e.call(ctx, c.e.scripts.held, c.b.root, c.name, c.e.now(), c.e.node, c.gen, to)
	if err == nil && a.int(0) == 0 {
		return logs.ErrClaimed
	}
	return err
}

// Delete implements logs.Claim.
func (c *claim) Delete(ctx context.Context) error {
	return c.e.remove(ctx, c.b, c.name, c.gen, c.e.node)
}

// Release implements logs.Claim.
func (c *claim) Release(ctx context.Context) {
	if err := c.change(ctx, "release"); err != nil && !errors.Is(err, logs.ErrClaimed) {
		c.e.log.Info("a claim remains until this node's lease expires", "error", err)
	}
}

// encodeHow is a Closing as text: the way to archive, then an i for an
// incomplete log.
func encodeHow(how logs.Closing) string {
	s := itoa(int64(how.Archive))
	if how.Incomplete {
		s += "i"
	}
	return s
}

func decodeHow(s string) logs.Closing {
	var how logs.Closing
	if len(s) > 0 {
		how.Archive = logs.Archiving(s[0] - '0')
		how.Incomplete = s[1:] == "i"
	}
	return how
}
