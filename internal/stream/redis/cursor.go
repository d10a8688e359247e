package redis

import (
	"context"
	"io"

	"github.com/harness/log-service/internal/logs"
)

// cursor is after the line pos of its stream.
type cursor struct {
	f         *follower
	followers *followers
	pos       int64
	closed    bool
}

var _ logs.Reader = (*cursor)(nil)

var ready = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Ready implements logs.Cursor.
func (c *cursor) Ready() <-chan struct{} {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.pos+1 < f.end || f.closed || f.broken != nil {
		return ready
	}
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// Next implements logs.Cursor.
func (c *cursor) Next(ctx context.Context) ([]*logs.Batch, error) {
	for {
		f := c.f
		f.mu.Lock()
		found := f.after(nil, c.pos, nextBytes)
		end, closed, broken := f.end, f.closed, f.broken
		f.mu.Unlock()
		if len(found) == 0 {
			switch {
			case broken != nil:
				return nil, broken
			case c.pos+1 >= end && closed:
				return nil, io.EOF
			case c.pos+1 >= end:
				return nil, nil
			}
			var err error
			if found, err = f.load(ctx, c.pos); err != nil {
				return nil, err
			}
		}
		if len(found) > 0 {
			c.pos = found[len(found)-1].Last()
			return found, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// Attempt implements logs.Reader.
func (c *cursor) Attempt() int64 { return c.f.attempt }

// First implements logs.Reader.
func (c *cursor) First() int64 { return c.f.first }

// Rewind implements logs.Reader.
func (c *cursor) Rewind(after int64) { c.pos = min(c.pos, max(after, c.f.first-1)) }

// Close implements logs.Cursor.
func (c *cursor) Close() {
	if !c.closed {
		c.closed = true
		c.followers.leave(c.f)
	}
}
