package redis

import (
	"context"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// nextBytes is about how much one Next returns; see package stream.
const nextBytes = 256 << 10

// Follow implements logs.Streams.
func (e *Engine) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	b, name := e.bucket(id)
	f, err := b.follow(ctx, name)
	if err != nil {
		return nil, err
	}
	return &cursor{f: f, pos: max(after, 0)}, nil
}

// cursor stands behind the line pos of its stream.
type cursor struct {
	f      *follower
	pos    int64
	closed bool
}

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

// Rewind implements logs.Reader.
func (c *cursor) Rewind(after int64) { c.pos = min(c.pos, after) }

// Close implements logs.Cursor.
func (c *cursor) Close() {
	if !c.closed {
		c.closed = true
		c.f.b.leave(c.f)
	}
}
