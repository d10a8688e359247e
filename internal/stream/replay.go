package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	logservice "github.com/harness/log-service"
)

// replay reads the log of a folder and builds the streams that are in it.
type replay struct {
	e       *Engine
	w       *wal
	streams map[uint64]*stream
	partial map[uint64]recentAppend // appends of which more records follow
	group   uint64                  // the number of the next group
	buf     []byte                  // one segment
}

func (e *Engine) replay(f folder, segment int64) error {
	r := &replay{
		e: e, streams: map[uint64]*stream{}, partial: map[uint64]recentAppend{}, group: 1,
		w: &wal{
			folder: f, segment: segment, log: e.log, metrics: &e.metrics, block: f.block(), applied: e.applied, undone: e.undone, poke: e.poke, gather: newGathering(),
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
	return nil
}

func (r *replay) openSegments() error {
	names, err := r.w.folder.list()
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		hex, ok := strings.CutSuffix(name, ".wal")
		number, err := strconv.ParseUint(hex, 16, 64)
		if !ok || err != nil || name != segmentName(number) {
			continue
		}
		f, size, err := r.w.folder.open(name, false)
		if err != nil {
			return fmt.Errorf("segment %s: %w", name, err)
		}
		r.w.segments = append(r.w.segments, &segment{
			number: number, name: name, file: f, size: size, used: segmentHeader, sealed: true,
		})
		r.w.lastNumber = number
	}
	return nil
}

// limit is the number that the groups of segment i stay below: where the
// next one begins. What lies beyond was never acknowledged.
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

// segment replays one file. limited says that groups from limit on do not
// count.
func (r *replay) segment(seg *segment, limit uint64, limited bool) error {
	if int64(cap(r.buf)) < seg.size {
		r.buf = make([]byte, seg.size)
	}
	b := r.buf[:seg.size]
	if n, err := seg.file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if int64(n) < seg.size {
		b = b[:n]
	}
	reused := r.header(seg, b)
	pos := min(segmentHeader, len(b))
	for {
		h, ok := parseGroup(b[pos:], seg.number)
		if ok && (limited && h.number >= limit || h.number < r.group) {
			return nil // left behind by a write that failed
		}
		end := pos + groupHeader + int(h.size)
		if ok && end <= len(b) && r.intact(b[pos+groupHeader:end]) {
			if h.number != r.group {
				r.damage(seg, pos, "groups are missing")
			}
			r.apply(seg, b[pos+groupHeader:end], int64(pos+groupHeader))
			r.group = h.number + 1
			pos = end
			seg.used = int64(end)
			continue
		}
		next := r.later(seg, b, pos+1, limit, limited)
		if next < 0 && (!limited || r.group >= limit) {
			if reused && !ok { // the file's old bytes
				return nil
			}
			return r.trim(seg, b[pos:], int64(pos), limited)
		}
		// Later groups were written, so this one was acknowledged: what can be
		// read of it counts, the rest is lost and stays in the file.
		r.damage(seg, pos, "a group is damaged")
		if ok {
			r.apply(seg, b[pos+groupHeader:min(end, len(b))], int64(pos+groupHeader))
			r.group = h.number + 1
		}
		if next < 0 {
			seg.used = int64(len(b))
			return nil
		}
		pos = next
	}
}

// header reads what the segment's header says beside its number.
func (r *replay) header(seg *segment, b []byte) (reused bool) {
	h, ok := parseSegment(b)
	if ok && h.number == seg.number {
		r.e.lastNum.Store(max(r.e.lastNum.Load(), h.nextStream-1))
		if r.group == 1 {
			r.group = h.firstGroup
		}
		return h.reused
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return false // made, and never written
	}
	r.damage(seg, 0, "its header is damaged")
	if next := r.later(seg, b, segmentHeader, 0, false); next >= 0 && r.group == 1 {
		h, _ := parseGroup(b[next:], seg.number)
		r.group = h.number
	}
	return false
}

// intact reports whether every record of a group is whole.
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

// later finds the next group header from pos on that counts, or -1.
func (r *replay) later(seg *segment, b []byte, pos int, limit uint64, limited bool) int {
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

// trim leaves out the torn end of the log: a group that was not synced when
// the machine stopped, so nobody was told that it is there. Its bytes are
// kept beside, because that conclusion rests on the disk having told the
// truth.
func (r *replay) trim(seg *segment, rest []byte, pos int64, known bool) error {
	rest = bytes.TrimRight(rest, "\x00")
	if len(rest) == 0 || known {
		return nil
	}
	name := fmt.Sprintf("%s-%d.torn", strings.TrimSuffix(seg.name, ".wal"), pos)
	r.e.log.Warn("the log ends in a write that was not finished: it is left out, its bytes are kept",
		"segment", seg.name, "offset", pos, "bytes", len(rest), "kept", name)
	f, err := r.w.folder.create(name, int64(len(rest)))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(rest, 0); err != nil {
		return err
	}
	return f.Sync()
}

func (r *replay) damage(seg *segment, pos int, what string) {
	seg.damaged = true
	r.e.log.Error("write-ahead log damaged: "+what+"; lines that cannot be read show as lost, the file is kept",
		"segment", seg.name, "offset", pos)
}

// apply replays the records of a group that begin at offset base of seg.
// Where the group is damaged it leaves out what is not whole.
func (r *replay) apply(seg *segment, b []byte, base int64) {
	for off := 0; off < len(b); {
		rec, ok := parseRecord(b[off:])
		if !ok {
			return
		}
		data, ok := rec.parseData(b[off:])
		if ok {
			r.record(seg, rec, data, base+int64(off))
		}
		off += recordHeader + int(rec.size)
	}
}

func (r *replay) record(seg *segment, rec record, data []byte, off int64) {
	s := r.streams[rec.stream]
	if s == nil {
		// Its open record may come later: copied forward from a segment that
		// is gone.
		s = &stream{num: rec.stream, eng: r.e, next: 1, end: 1}
		r.streams[rec.stream] = s
		r.e.lastNum.Store(max(r.e.lastNum.Load(), rec.stream))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted {
		return
	}
	switch rec.kind {
	case kindOpen:
		account, key, _ := strings.Cut(string(data), "\x00")
		s.id = logservice.ID{Account: account, Key: logservice.Key(key)}
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
	case kindPack:
		s.end = max(s.end, rec.first+int64(rec.count))
	}
	s.apply(staged{s: s, rec: rec}, nil, seg, off)
}

// settle enters the streams that live.
func (r *replay) settle() {
	for _, s := range r.streams {
		s.mu.Lock()
		s.next, s.closing, s.deleting = s.end, s.closed, s.deleted
		s.last = r.e.clock()
		if other := r.e.streams[s.id]; s.id.Key == "" || other != nil && other.num > s.num {
			s.deleted = true // nothing of its beginning is left: it was deleted, or lost to damage
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
