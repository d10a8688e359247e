package stream

import (
	"context"
	"errors"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// Append implements logs.Streams.
func (e *Engine) Append(ctx context.Context, id logservice.ID, l logs.Lines) (next int64, err error) {
	s, err := e.lookup(id)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	next, err = s.append(l)
	g := s.staging
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	// A retry also waits: the lines it repeats may be in a group that is not
	// durable yet, or that fails.
	if err := g.wait(ctx); err != nil {
		return 0, err
	}
	e.memory.Shrink()
	return next, nil
}

// append stages lines. The caller holds s.mu.
func (s *stream) append(l logs.Lines) (next int64, err error) {
	if s.closing || s.deleting || s.closed || s.deleted {
		return 0, logservice.ErrStreamNotFound
	}
	s.last = s.eng.clock()
	if l.Offset > 0 {
		if l.Offset > s.next {
			return 0, &logservice.SequenceError{Offset: l.Offset, Expected: s.next}
		}
		l = l.From(s.next)
	}
	if l.Count == 0 {
		return s.next, nil
	}
	dedupe := l.Dedupe && l.Offset == 0
	flags := uint8(0)
	if !dedupe {
		flags = flagUnmarked
	}
	pieces, id := split(l, s.next, flags)
	if dedupe {
		if known, err := s.isRetry(id, l.Data); known || err != nil {
			return s.next, err
		}
	}
	before := s.next
	s.next += l.Count
	if err := s.stage(pieces...); err != nil {
		s.next = before
		return 0, err
	}
	if dedupe {
		s.remember(id)
	}
	return s.next, nil
}

// split divides an append into records of about batches.PieceBytes, starting at
// sequence first and with the given flags, and returns what identifies it.
func split(l logs.Lines, first int64, flags uint8) ([]staged, batches.Append) {
	id := batches.Append{First: first}
	if len(l.Data) <= batches.PieceBytes { // nearly always
		p := newPiece(l.Data, first, l.Count, flags)
		addPiece(&id, p.rec.count, uint32(len(l.Data)), p.rec.dataCRC)
		return []staged{p}, id
	}
	var pieces []staged
	left, more := l.Count, uint8(flagMore)
	for data, count := range batches.Pieces(l.Data, l.Count) {
		if left -= count; left == 0 {
			more = 0
		}
		p := newPiece(data, first, count, flags|more)
		addPiece(&id, p.rec.count, uint32(len(data)), p.rec.dataCRC)
		pieces = append(pieces, p)
		first += count
	}
	return pieces, id
}

func newPiece(data []byte, first, count int64, flags uint8) staged {
	return staged{
		data: data,
		rec:  record{kind: kindLines, flags: flags, first: first, count: uint32(count), dataCRC: checksum(data)},
	}
}

// Close implements logs.Streams.
func (e *Engine) Close(ctx context.Context, id logservice.ID, how logs.Closing) error {
	s, err := e.lookup(id)
	if err != nil {
		return err
	}
	return e.wal.despiteFullDisk(ctx, func() error { return s.close(ctx, how) })
}

func (s *stream) close(ctx context.Context, how logs.Closing) (err error) {
	s.mu.Lock()
	switch {
	case s.deleting || s.deleted:
		err = logservice.ErrStreamNotFound
	case !s.closing:
		s.closing = true
		if err = s.stage(s.closeRecord(how)); err != nil {
			s.closing = false
		}
	}
	g := s.staging
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return g.wait(ctx)
}

// Delete implements logs.Streams.
func (e *Engine) Delete(ctx context.Context, id logservice.ID) error {
	s, err := e.lookup(id)
	if err != nil {
		return err
	}
	return e.remove(ctx, s, false)
}

// remove deletes s. Unless durable is set, a closed stream is removed without
// waiting: a crash may bring it back unchanged.
func (e *Engine) remove(ctx context.Context, s *stream, durable bool) error {
	return e.wal.despiteFullDisk(ctx, func() error { return e.tryRemove(ctx, s, durable) })
}

func (e *Engine) tryRemove(ctx context.Context, s *stream, durable bool) (err error) {
	s.mu.Lock()
	durable = durable || !s.closed
	if s.deleting || s.deleted {
		err = logservice.ErrStreamNotFound
	} else if err = s.stage(staged{rec: record{kind: kindDelete}}); err == nil {
		s.deleting = true
	}
	g := s.staging
	s.mu.Unlock()
	if durable && (err == nil || errors.Is(err, logservice.ErrStreamNotFound)) {
		if failed := g.wait(ctx); failed != nil {
			return failed
		}
	}
	if err == nil {
		e.forget(s)
	}
	return err
}

// forget removes a deleted stream from the map.
func (e *Engine) forget(s *stream) {
	e.mu.Lock()
	if e.streams[s.id] == s {
		delete(e.streams, s.id)
	}
	e.mu.Unlock()
}

// applied publishes a durable group. The committer calls it, in order.
func (e *Engine) applied(g *group) {
	for _, it := range g.items {
		s := it.s
		s.mu.Lock()
		first := !s.in(g.seg)
		s.apply(it, g.data(it), g.seg, g.base+it.off)
		e.wal.roster.note(s, first)
		if s.staging == g {
			s.staging = nil
		}
		gone := s.deleted
		s.mu.Unlock()
		if gone {
			e.forget(s)
		}
	}
	g.items = nil
}

// undone reverts a failed group, last record first.
func (e *Engine) undone(g *group, _ error) {
	for i := len(g.items) - 1; i >= 0; i-- {
		it := g.items[i]
		s := it.s
		s.mu.Lock()
		s.undo(it)
		neverOpened := it.rec.kind == kindOpen && len(s.segs) == 0
		s.mu.Unlock()
		if neverOpened {
			e.forget(s)
		}
		if it.rec.kind == kindDelete { // a truncating open may have replaced it
			e.mu.Lock()
			if e.streams[s.id] == nil {
				e.streams[s.id] = s
			}
			e.mu.Unlock()
		}
	}
	g.items = nil
}
