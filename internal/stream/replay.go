package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	logservice "github.com/harness/log-service"
)

// replay reads the log of a folder and rebuilds its streams.
type replay struct {
	e       *Engine
	w       *wal
	streams map[uint64]*stream
	partial map[uint64]recentAppend // appends with more records to come
	group   uint64                  // number of the next group
	buf     []byte                  // one segment
	whole   bool                    // the last segment has the current format, and nothing follows its last group
}

func (e *Engine) replay(f folder, segment int64) error {
	r := &replay{
		e: e, streams: map[uint64]*stream{}, partial: map[uint64]recentAppend{}, group: 1,
		w: &wal{
			folder: f, segment: segment, log: e.log, metrics: &e.metrics, block: f.block(), clock: e.clock,
			applied: e.applied, undone: e.undone, poke: e.poke, delay: newCommitDelay(),
			kick: make(chan struct{}, 1), done: make(chan struct{}), nextStream: func() uint64 { return e.lastNum.Load() + 1 },
		},
	}
	e.wal = r.w
	r.w.begin(0)
	if err := r.w.dropSpares(); err != nil {
		return err
	}
	if err := r.openSegments(); err != nil {
		return err
	}
	for i, seg := range r.w.segments {
		limit, limited := r.limit(i)
		if err := r.segment(seg, limit, limited); err != nil {
			return fmt.Errorf("segment %s: %w", seg.name, err)
		}
		if limited {
			r.group = max(r.group, limit)
		}
	}
	r.settle()
	r.w.nextGroup = r.group
	r.finish()
	return nil
}

// limit is the number of the first group of the segments after i. Groups of
// segment i from there on were never acknowledged.
func (r *replay) limit(i int) (first uint64, known bool) {
	for _, seg := range r.w.segments[i+1:] {
		var b [segmentHeader]byte
		if _, err := seg.file.ReadAt(b[:], 0); err != nil {
			continue
		}
		if h, ok := parseSegment(b[:]); ok && h.number == seg.number {
			return h.firstGroup, true
		}
	}
	return 0, false
}

// segment replays one file. If limited is set, groups from limit on do not
// count.
func (r *replay) segment(seg *segment, limit uint64, limited bool) error {
	r.whole = false
	r.w.roster.held = nil // this segment lists what the ones before it contain
	b, err := r.read(seg)
	if err != nil {
		return err
	}
	reused, err := r.header(seg, b)
	if err != nil {
		return err
	}
	pos := min(segmentHeader, len(b))
	for {
		h, ok := parseGroup(b[pos:], seg.number)
		if ok && (limited && h.number >= limit || h.number < r.group) {
			return nil // left by a failed write
		}
		end := pos + groupHeader + int(h.size)
		if ok && end <= len(b) && r.intact(b[pos+groupHeader:end]) {
			if h.number != r.group {
				r.damage(seg, pos, "groups are missing")
			}
			if err := r.apply(seg, b[pos+groupHeader:end], int64(pos+groupHeader)); err != nil {
				return err
			}
			r.group = h.number + 1
			pos = end
			seg.used = int64(end)
			continue
		}
		next := r.findGroup(seg, b, pos+1, limit, limited)
		if next < 0 && (!limited || r.group >= limit) {
			torn := r.trimTorn(seg, b[pos:], int64(pos), limited || reused && !ok) // or the file's old bytes
			r.whole = !torn && !seg.previous && pos >= segmentHeader
			return nil
		}
		// Later groups were written, so this one was acknowledged: its readable
		// records count, the rest is lost and stays in the file. Groups are
		// contiguous, so everything up to the next one belongs to them.
		r.damage(seg, pos, "a group is damaged")
		if !ok {
			end = r.findGroup(seg, b, pos+1, 0, false)
			if end < 0 && !reused {
				end = len(b)
			}
		} else {
			r.group = h.number + 1
		}
		if end = min(end, len(b)); end > pos+groupHeader {
			if err := r.apply(seg, b[pos+groupHeader:end], int64(pos+groupHeader)); err != nil {
				return err
			}
		}
		if next < 0 {
			seg.used = int64(len(b))
			return nil
		}
		pos = next
	}
}

// header reads the fields of the segment's header, apart from its number.
func (r *replay) header(seg *segment, b []byte) (reused bool, err error) {
	h, ok := parseSegment(b)
	if ok && h.number == seg.number {
		seg.previous = string(b[:len(previousMagic)]) == previousMagic
		r.e.lastNum.Store(max(r.e.lastNum.Load(), h.nextStream-1))
		if r.group == 1 {
			r.group = h.firstGroup
		}
		return h.reused, nil
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return false, nil // created, and never written
	}
	if unknownFormat(b) {
		return false, fmt.Errorf("its format is %q, this version of the program reads %s and %s: "+
			"it was written by another version; start that one, or move the file elsewhere", b[:8], previousMagic, segmentMagic)
	}
	r.damage(seg, 0, "its header is damaged")
	if next := r.findGroup(seg, b, min(segmentHeader, len(b)), 0, false); next >= 0 && r.group == 1 {
		h, _ := parseGroup(b[next:], seg.number)
		r.group = h.number
	}
	return false, nil
}

// unknownFormat reports whether b begins with the magic of an unknown segment
// format. A damaged magic of a known format is not unknown.
func unknownFormat(b []byte) bool {
	n := len(segmentMagic)
	if len(b) < segmentHeader || string(b[:n-1]) != segmentMagic[:n-1] {
		return false
	}
	for _, magic := range []string{segmentMagic, previousMagic} {
		ours := append([]byte(magic), b[n:segmentHeader]...)
		if _, ok := parseSegment(ours); ok || string(b[:n]) == magic {
			return false
		}
	}
	return true
}

// intact reports whether every record of a group is intact.
func (r *replay) intact(b []byte) bool {
	for len(b) > 0 {
		rec, ok := parseRecord(b)
		if !ok {
			return false
		}
		if _, ok := rec.parseData(b); !ok {
			return false
		}
		b = b[recordHeader+int(rec.size):]
	}
	return true
}

// findGroup returns the position of the next group header from pos on that
// counts, or -1.
func (r *replay) findGroup(seg *segment, b []byte, pos int, limit uint64, limited bool) int {
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], groupMagic)
	for pos < len(b) {
		i := bytes.Index(b[pos:], magic[:])
		if i < 0 {
			return -1
		}
		pos += i
		if h, ok := parseGroup(b[pos:], seg.number); ok && h.number >= r.group && (!limited || h.number < limit) {
			return pos
		}
		pos++
	}
	return -1
}

// trimTorn leaves out the torn end of the log: a group that was not synced when
// the machine stopped, so it was never acknowledged. Its bytes are kept in a
// separate file if the disk has space, because that conclusion depends on the
// disk having synced what it reported as synced. It reports whether the end is
// torn; known means that the bytes are known to be useless.
func (r *replay) trimTorn(seg *segment, rest []byte, pos int64, known bool) bool {
	rest = bytes.TrimRight(rest, "\x00")
	if len(rest) == 0 || known {
		return len(rest) > 0
	}
	name := r.keptName(seg, fmt.Sprintf("-%d%s", pos, tornSuffix))
	err := r.w.writeFile(name, rest)
	if err != nil {
		name = "in the segment only: " + err.Error()
	}
	r.e.log.Warn("the write-ahead log ends in an incomplete write: it is skipped, and its bytes are kept",
		"segment", seg.name, "offset", pos, "bytes", len(rest), "kept", name)
	return true
}

// writeFile writes and syncs a separate file.
func (w *wal) writeFile(name string, b []byte) error {
	f, err := w.folder.create(name, int64(len(b)))
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (r *replay) damage(seg *segment, pos int, what string) {
	seg.damaged = true
	r.e.log.Error("write-ahead log damaged: "+what+"; readers get a gap for unreadable lines, and the file is kept",
		"segment", seg.name, "offset", pos)
}

// apply replays the records of a group that begin at offset base of seg. In a
// damaged group it searches for the next intact record.
func (r *replay) apply(seg *segment, b []byte, base int64) error {
	for off := 0; off < len(b); {
		rec, ok := parseRecord(b[off:])
		if !ok {
			off++
			continue
		}
		if rec.kind == 0 || rec.kind > maxKind {
			return fmt.Errorf("at %d is a record of kind %d, which this version of the program does not know: "+
				"it was written by a newer version; start that one", base+int64(off), rec.kind)
		}
		data, ok := rec.parseData(b[off:])
		if ok {
			r.record(seg, rec, data, base+int64(off))
		} else if rec.kind == kindLines || rec.kind == kindCompacted {
			r.lost(seg, rec)
		}
		off += recordHeader + int(rec.size)
	}
	return nil
}

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
		s = &stream{num: num, eng: r.e, next: 1, end: 1}
		r.streams[num] = s
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
		s.id = identity(string(data))
		s.end = max(s.end, rec.next)
	case kindLines:
		part := r.partial[rec.stream]
		if part.count == 0 {
			part.first = rec.first
		}
		part.add(rec.count, rec.size, rec.dataCRC)
		if rec.flags&flagMore != 0 {
			r.partial[rec.stream] = part
			break
		}
		delete(r.partial, rec.stream)
		if rec.flags&flagUnmarked == 0 {
			s.remember(part)
		}
	case kindRecent:
		s.remember(parseRecents(data)...)
	case kindCompacted:
		s.end = max(s.end, rec.first+int64(rec.count))
	}
	first := !s.in(seg)
	s.apply(staged{s: s, rec: rec}, nil, seg, off)
	r.w.roster.note(s, first)
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
		s.id, s.end, s.ttl = identity(x.name), max(s.end, x.next), x.ttl
		if x.flags&rosterClosed != 0 {
			s.closed, s.how = true, closingOf(x.flags)
		}
		s.hold(seg)
	}
}

// settle adds the live streams to the engine.
func (r *replay) settle() {
	for _, s := range r.streams {
		s.mu.Lock()
		if s.id.Key == "" && !s.deleted {
			r.markNameless(s)
		}
		s.next, s.closing, s.deleting = s.end, s.closed, s.deleted
		s.last = r.e.clock()
		if other := r.e.streams[s.id]; other != nil && other.num > s.num {
			s.deleted = true // opened again later: its deletion was lost to damage
		} else if other != nil {
			other.mu.Lock()
			other.deleted = true
			other.drop()
			other.mu.Unlock()
		}
		if !s.deleted {
			r.e.streams[s.id] = s
			if s.ttl <= 0 {
				s.ttl = logservice.DefaultTTL
			}
		} else if !s.gone.Load() {
			s.drop()
		}
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
	changed := w.roster.changed[:0]
	for _, s := range w.roster.changed {
		if s.unlisted {
			changed = append(changed, s)
		}
	}
	w.roster.changed = changed
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
			w.full = &logservice.UnavailableError{Cause: fmt.Errorf("write-ahead log: %w", err), RetryAfter: 2 * time.Second}
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
}
