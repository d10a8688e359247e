package stream

import (
	"context"
	"io"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// nextBytes is about how much one Next returns: enough that the cost of a
// call vanishes, little enough that a thousand readers hold little.
const nextBytes = 256 << 10

// Follow implements logs.Streams.
func (e *Engine) Follow(_ context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	s, err := e.lookup(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted {
		return nil, logservice.ErrStreamNotFound
	}
	s.refs++
	return &cursor{s: s, pos: max(after, 0)}, nil
}

// cursor stands behind the line pos of its stream.
type cursor struct {
	s       *stream
	pos     int64
	entries []entry // scratch of Next
	closed  bool
}

var ready = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Ready implements logs.Cursor.
func (c *cursor) Ready() <-chan struct{} {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.pos+1 < s.end || s.closed {
		return ready
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// Next implements logs.Cursor.
func (c *cursor) Next(ctx context.Context) ([]*logs.Batch, error) {
	for {
		s := c.s
		s.mu.Lock()
		gap, entries := s.after(c.entries[:0], c.pos, nextBytes)
		closed := s.closed
		s.mu.Unlock()
		c.entries = entries
		if gap > 0 {
			b := logs.NewGap(c.pos+1, gap)
			c.pos = b.Last()
			return []*logs.Batch{b}, nil
		}
		if len(entries) == 0 {
			if closed {
				return nil, io.EOF
			}
			return nil, nil
		}
		found, err := s.eng.read(s, entries)
		clear(entries) // hold no batch while waiting
		if err != nil {
			return nil, err
		}
		if len(found) == 0 { // a segment went away meanwhile: look again
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		if b := found[0]; b.First <= c.pos {
			found[0] = batches.From(b, c.pos+1)
		}
		c.pos = found[len(found)-1].Last()
		return found, nil
	}
}

// Close implements logs.Cursor.
func (c *cursor) Close() {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	if s.refs--; s.refs == 0 && s.deleted {
		s.drop()
	}
}

// List implements logs.Streams.
func (e *Engine) List(_ context.Context, f logs.Filter) ([]logs.Info, error) {
	now := e.clock()
	e.mu.RLock()
	defer e.mu.RUnlock()
	var infos []logs.Info
	for id, s := range e.streams {
		if (f.Account == "" || id.Account == f.Account) && id.Key.Under(f.Prefix) {
			infos = append(infos, s.info(now))
		}
	}
	return infos, nil
}

func (s *stream) info(now time.Duration) logs.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return logs.Info{
		ID: s.id, Lines: s.end - 1, Bytes: s.bytes, Subscribers: s.refs,
		TTL: s.ttl - (now - s.last), Closed: s.closed, How: s.how,
	}
}
