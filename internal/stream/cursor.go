package stream

import (
	"context"
	"io"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// nextBytes is about how much one Next returns: enough that the cost of a
	// call does not matter, but little memory even for a thousand readers.
	nextBytes = 256 << 10
	// slowBytes is how much it returns to a reader that was rewound, because
	// its peer accepts less at a time. Each Next without another rewind doubles
	// it: one full socket must not make the rest of a long log slow.
	slowBytes = 64 << 10
)

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
	s.forReaders().refs++
	return &cursor{s: s, pos: max(after, s.first-1), limit: nextBytes}, nil
}

// cursor is positioned after line pos of its stream.
type cursor struct {
	s       *stream
	pos     int64
	limit   int     // about how much Next returns; less than nextBytes after a rewind
	entries []entry // scratch of Next
	// loaded is what the last Next read back, for this cursor alone, until the
	// caller has sent it: a peer that took only a part of it mostly takes the
	// rest at once.
	loaded *logs.Batch
	closed bool
}

var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Ready implements logs.Cursor.
func (c *cursor) Ready() <-chan struct{} {
	c.loaded = nil
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.pos+1 < s.end || s.closed {
		return closedChannel
	}
	if s.readers.changed == nil {
		s.readers.changed = make(chan struct{})
	}
	return s.readers.changed
}

// Next implements logs.Cursor.
func (c *cursor) Next(ctx context.Context) ([]*logs.Batch, error) {
	limit := c.limit
	c.limit, c.loaded = min(2*limit, nextBytes), nil
	for {
		s := c.s
		s.mu.Lock()
		gap, all := s.entriesAfter(c.entries[:0], c.pos, limit)
		block, entries := s.onDisk(all, c.pos+1)
		if s.gone.Load() && c.pos+1 < s.end {
			err := &logs.ReleasedError{Next: s.end, Archived: s.readers.archived}
			s.mu.Unlock()
			return nil, err
		}
		closed, shared := s.closed, s.readers.refs > 1
		s.mu.Unlock()
		c.entries = all[:0]
		found := inMemory(entries)
		switch {
		case len(found) > 0:
		case gap > 0:
			found = []*logs.Batch{logs.NewGap(c.pos+1, gap)}
		case block != nil:
			found = []*logs.Batch{block}
		case len(entries) == 0 && closed:
			return nil, io.EOF
		case len(entries) == 0:
			return nil, nil
		default:
			b, err := c.load(entries, shared)
			if err == nil && b == nil { // a segment was released meanwhile: try again
				if err = ctx.Err(); err == nil {
					continue
				}
			}
			if err != nil {
				return nil, err
			}
			found = []*logs.Batch{b}
		}
		clear(all) // hold no batch while waiting
		if b := found[0]; b.First <= c.pos {
			found[0] = b.From(c.pos + 1)
		}
		c.pos = found[len(found)-1].Last()
		return found, nil
	}
}

// load reads entries back from the disk, for all readers at this position if there
// are others. It returns nil if a segment was released meanwhile.
func (c *cursor) load(entries []entry, shared bool) (*logs.Batch, error) {
	b, err := c.s.eng.load(c.s, entries)
	switch {
	case err != nil || b == nil:
	case shared:
		c.s.keepBlock(b)
	default:
		c.loaded = b
	}
	return b, err
}

// inMemory returns the batches of the leading entries that are in memory. It is
// called without s.mu, for which all readers of a stream wait at the same time.
func inMemory(entries []entry) []*logs.Batch {
	n := 0
	for n < len(entries) && entries[n].batch != nil {
		n++
	}
	if n == 0 {
		return nil
	}
	found := make([]*logs.Batch, n)
	for i := range found {
		found[i] = entries[i].batch
	}
	return found
}

// onDisk returns, if the first of entries is not in memory, the block that
// contains sequence pos, or else the entries to read together. The caller holds
// s.mu.
func (s *stream) onDisk(entries []entry, pos int64) (block *logs.Batch, read []entry) {
	if len(entries) == 0 || entries[0].batch != nil {
		return nil, entries
	}
	blocks := s.readers.blocks
	i := s.readers.blockAt(pos)
	if i < len(blocks) && blocks[i].First <= pos {
		return blocks[i], entries
	}
	n := window(entries)
	for i < len(blocks) && n > 1 && entries[n-1].next() > blocks[i].First {
		n--
	}
	return nil, entries[:n]
}

// Attempt implements logs.Reader.
func (c *cursor) Attempt() int64 { return int64(c.s.attempt) }

// First implements logs.Reader.
func (c *cursor) First() int64 { return c.s.first }

// Rewind implements logs.Reader.
func (c *cursor) Rewind(after int64) {
	if c.loaded != nil {
		c.s.keepBlock(c.loaded)
		c.loaded = nil
	}
	c.pos, c.limit = min(c.pos, max(after, c.s.first-1)), slowBytes
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
	if s.readers.refs--; s.readers.refs == 0 && s.deleted && !s.gone.Load() {
		s.drop()
	}
}

// List implements logs.Streams.
func (e *Engine) List(_ context.Context, f logs.Filter) ([]logs.Info, error) {
	now := e.clock()
	var matching []*stream
	e.mu.RLock()
	for id, s := range e.streams {
		if (f.Account == "" || id.Account == f.Account) && id.Key.Under(f.Prefix) {
			matching = append(matching, s)
		}
	}
	e.mu.RUnlock()
	infos := make([]logs.Info, len(matching))
	for i, s := range matching {
		infos[i] = s.info(now)
	}
	return infos, nil
}

func (s *stream) info(now time.Duration) logs.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return logs.Info{
		ID: s.id, Attempt: int64(s.attempt), First: s.first, Lines: s.end - 1, Bytes: s.bytes, Subscribers: s.refs(),
		TTL: s.ttl - (now - s.last), Closed: s.closed, How: s.how,
	}
}
