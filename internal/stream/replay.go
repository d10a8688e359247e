package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/harness/log-service/internal/stream/batches"
)

// replay reads the log of a folder and rebuilds its streams.
type replay struct {
	e       *Engine
	w       *wal
	streams map[uint64]*stream
	all     []*stream                 // the same: to visit them in the order of a map takes three times as long
	partial map[uint64]batches.Append // appends with more records to come
	group   uint64                    // number of the next group
	buf     []byte                    // one segment
	whole   bool                      // the last segment has the current format, and nothing follows its last group
}

func (e *Engine) replay(f folder, segment int64) error {
	r := &replay{
		e: e, streams: map[uint64]*stream{}, partial: map[uint64]batches.Append{}, group: 1,
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

// scan is what the replay of one file works with. If limited is set, groups from
// limit on do not count.
type scan struct {
	seg     *segment
	b       []byte // the file
	limit   uint64
	limited bool
	reused  bool // old bytes may follow the last group
}

// segment replays one file; see scan.
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
	x := &scan{seg: seg, b: b, limit: limit, limited: limited, reused: reused}
	for pos := min(segmentHeader, len(b)); pos >= 0 && err == nil; {
		pos, err = r.groupAt(x, pos)
	}
	return err
}

// groupAt replays the group at pos, and returns where the next one begins, or -1
// if there is none.
func (r *replay) groupAt(x *scan, pos int) (next int, err error) {
	seg, b := x.seg, x.b
	h, ok := parseGroup(b[pos:], seg.number)
	if ok && (x.limited && h.number >= x.limit || h.number < r.group) {
		return -1, nil // left by a failed write
	}
	end := pos + groupHeader + int(h.size)
	whole := ok && end <= len(b)
	if whole {
		if whole, err = r.intact(b[pos+groupHeader : end]); err != nil {
			return -1, err
		}
	}
	if whole {
		if h.number != r.group {
			r.damage(seg, pos, "groups are missing")
		}
		r.apply(seg, b[pos+groupHeader:end], int64(pos+groupHeader))
		r.group = h.number + 1
		seg.used = int64(end)
		return end, nil
	}
	next = r.findGroup(seg, b, pos+1, x.limit, x.limited)
	if next < 0 && (!x.limited || r.group >= x.limit) {
		torn := r.trimTorn(seg, b[pos:], int64(pos), x.limited || x.reused && !ok) // or the file's old bytes
		r.whole = !torn && !seg.previous && pos >= segmentHeader
		return -1, nil
	}
	r.damagedGroup(x, pos, h, ok)
	if next < 0 {
		seg.used = int64(len(b))
	}
	return next, nil
}

// damagedGroup replays what can be read of a group that was acknowledged, as
// later ones were written. The rest is lost and stays in the file. Groups are
// contiguous, so everything up to the next one belongs to them.
func (r *replay) damagedGroup(x *scan, pos int, h groupHead, ok bool) {
	seg, b := x.seg, x.b
	r.damage(seg, pos, "a group is damaged")
	end := pos + groupHeader + int(h.size)
	if ok {
		r.group = h.number + 1
	} else if end = r.findGroup(seg, b, pos+1, 0, false); end < 0 && !x.reused {
		end = len(b)
	}
	if end = min(end, len(b)); end > pos+groupHeader {
		r.apply(seg, b[pos+groupHeader:end], int64(pos+groupHeader))
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

// intact reports whether every record of a group is intact. An error means that
// they are, but that this version of the program does not know one of them.
func (r *replay) intact(b []byte) (ok bool, err error) {
	for len(b) > 0 {
		rec, ok := parseRecord(b)
		if !ok {
			return false, nil
		}
		if _, ok := rec.parseData(b); !ok {
			return false, nil
		}
		if !rec.known() {
			err = fmt.Errorf("it contains a record of kind %d, which this version of the program does not know: "+
				"it was written by a newer version; start that one", rec.kind)
		}
		b = b[recordHeader+int(rec.size):]
	}
	return true, err
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
// damaged group it searches for the next intact record; there a header of an
// unknown kind is a checksum that matches by chance.
func (r *replay) apply(seg *segment, b []byte, base int64) {
	for off := 0; off < len(b); {
		rec, ok := parseRecord(b[off:])
		if !ok || !rec.known() {
			off++
			continue
		}
		data, ok := rec.parseData(b[off:])
		if ok {
			r.record(seg, rec, data, base+int64(off))
		} else if rec.kind == kindLines || rec.kind == kindCompacted {
			r.lost(seg, rec)
		}
		off += recordHeader + int(rec.size)
	}
}
