package stream

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/stream/batches"
)

// lost notes lines whose record is damaged: they become a gap, and their
// sequences are not used again.
func (r *replay) lost(seg *segment, rec record) {
	s := r.stream(rec.stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.deleted {
		s.end = max(s.end, rec.first+int64(rec.count))
		s.hold(seg)
	}
}

// stream returns the stream with that number. It may be known from later
// records only: its open record may have been compacted.
func (r *replay) stream(num uint64) *stream {
	s := r.streams[num]
	if s == nil {
		s = &stream{num: num, eng: r.e, attempt: 1, first: 1, next: 1, end: 1}
		r.streams[num] = s
		r.all = append(r.all, s)
		r.e.lastNum.Store(max(r.e.lastNum.Load(), num))
	}
	return s
}

func (r *replay) record(seg *segment, rec record, data []byte, off int64) {
	switch rec.kind {
	case kindRoster:
		parseRoster(data, func(x rosterEntry) { r.applyListed(seg, x) })
		return
	case kindPad:
		return
	}
	s := r.stream(rec.stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted {
		return
	}
	switch rec.kind {
	case kindOpen:
		s.setName(string(data))
		s.end = max(s.end, rec.next)
	case kindLines:
		part := r.partial[rec.stream]
		if part.Count == 0 {
			part.First = rec.first
		}
		addPiece(&part, rec.count, rec.size, rec.dataCRC)
		if rec.flags&flagMore != 0 {
			r.partial[rec.stream] = part
			break
		}
		delete(r.partial, rec.stream)
		if rec.flags&flagUnmarked == 0 {
			s.remember(part)
		}
	case kindRecent:
		s.remember(batches.DecodeAppends(data)...)
	case kindCompacted:
		s.end = max(s.end, rec.first+int64(rec.count))
	case kindClose:
		s.end = max(s.end, rec.next)
	}
	if !s.in(seg) {
		r.w.roster.held = append(r.w.roster.held, s)
	}
	s.apply(staged{s: s, rec: rec}, nil, seg, off)
	s.unlisted = true // until a roster lists it; finish collects the others
}

// applyListed applies an entry of a roster. Earlier records said the same, so
// it changes something only if these are damaged.
func (r *replay) applyListed(seg *segment, x rosterEntry) {
	s := r.stream(x.num)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlisted = false
	switch {
	case s.deleted:
	case x.flags&rosterDeleted != 0:
		s.apply(staged{s: s, rec: record{kind: kindDelete}}, nil, nil, 0)
	case s.id.Key == "" || s.end < x.next || x.flags&rosterClosed != 0 && !s.closed:
		s.setName(string(x.name))
		s.end, s.ttl = max(s.end, x.next), x.ttl
		if x.flags&rosterClosed != 0 {
			s.closed, s.how = true, closingOf(x.flags)
		}
		s.hold(seg)
	}
}

// settle adds the live streams to the engine.
func (r *replay) settle() {
	slices.SortFunc(r.all, func(a, b *stream) int { return cmp.Compare(a.num, b.num) })
	live, now := 0, r.e.clock()
	for _, s := range r.all {
		s.mu.Lock()
		if s.id.Key == "" && !s.deleted {
			r.markNameless(s)
		}
		s.next, s.closing, s.deleting, s.last = s.end, s.closed, s.deleted, now
		if s.ttl <= 0 {
			s.ttl = logservice.DefaultTTL
		}
		if !s.deleted {
			live++
		} else if !s.gone.Load() {
			s.drop()
		}
		s.mu.Unlock()
	}
	r.e.streams = make(map[logservice.ID]*stream, live)
	for _, s := range r.all {
		if !s.deleted {
			r.e.streams[s.id] = s
		}
	}
	if len(r.e.streams) < live {
		r.dropReplaced()
	}
}

// dropReplaced drops the streams whose log was opened again later: their
// deletion was lost to damage.
func (r *replay) dropReplaced() {
	for _, s := range r.all {
		if s.deleted || r.e.streams[s.id] == s {
			continue
		}
		s.mu.Lock()
		s.deleted = true
		s.drop()
		s.mu.Unlock()
	}
}

// markNameless handles a stream whose identity is lost. That is damage, not a
// deletion: the files with its lines are kept. (In the previous format it may
// have been deleted, and compacted afterwards.) The caller holds s.mu.
func (r *replay) markNameless(s *stream) {
	s.deleted = true
	if !slices.ContainsFunc(s.segs, func(seg *segment) bool { return !seg.previous }) {
		return
	}
	r.w.segMu.Lock()
	names := make([]string, len(s.segs))
	for i, seg := range s.segs {
		seg.damaged = true
		names[i] = seg.name
	}
	r.w.segMu.Unlock()
	r.e.log.Error("write-ahead log damaged: the name of a log is lost; its lines cannot be read, and the files that contain them are kept",
		"lines", s.end-1, "segments", names)
}

// finish makes durable what was read, before any of it is acknowledged or
// shown, and continues in the last segment if that is intact.
func (r *replay) finish() {
	w := r.w
	for _, s := range r.all {
		if s.unlisted {
			w.roster.changed = append(w.roster.changed, s)
		}
	}
	for _, seg := range w.segments {
		if err := seg.file.Sync(); err != nil {
			w.log.Error("cannot sync a segment of the write-ahead log: rewriting its content", "segment", seg.name, "error", err)
			seg.failed, w.rewrite = true, true
		}
	}
	if err := w.makeReserve(); err != nil {
		w.log.Warn("cannot reserve space for closing and deleting streams on a full disk", "error", err)
	}
	n := len(w.segments)
	if n == 0 {
		return
	}
	last := w.segments[n-1]
	if r.whole && !last.damaged && !last.failed {
		w.resume(last)
	}
}

// resume continues writing to seg, the last segment of an earlier run: a full
// disk may have no space for another.
func (w *wal) resume(seg *segment) {
	f, size, err := w.folder.open(seg.name, true)
	if err != nil {
		return
	}
	lead := seg.used % w.block
	tail := make([]byte, lead)
	if size < w.segment {
		err := f.Extend(w.segment)
		switch {
		case err == nil:
			size = w.segment
		case isFull(err): // appends wait until recover finds space
			w.refusal.full = &logservice.UnavailableError{Cause: fmt.Errorf("write-ahead log: %w", err), RetryAfter: 2 * time.Second}
			w.tight.Store(true)
		}
	}
	if _, err := f.ReadAt(tail, seg.used-lead); err != nil && !errors.Is(err, io.EOF) || size < seg.used {
		_ = f.Close() // nothing was written
		return
	}
	_ = seg.file.Close() // read-only: nothing can be lost
	seg.file, seg.size, seg.sealed = f, size/w.block*w.block, false
	w.current, w.tail = seg, tail
	w.left.Store(seg.size - seg.used)
}
