package stream

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// smallLog is how many bytes of a log are held in memory for a while even if
// nobody follows it: small logs end soon, and are archived from memory.
const smallLog = 64 << 10

// stream is one live log.
//
// It has two states. The staged state determines what the next append gets; the
// durable state determines what readers see. The committer advances the durable
// state to the staged one, or resets the staged one if a group fails.
type stream struct {
	id  logservice.ID
	num uint64 // never reused
	eng *Engine

	gone atomic.Bool // dropped: nothing refers to its lines any more

	mu sync.Mutex // guards everything below; taken after Engine.mu, before wal.mu

	// The flags are together because there are as many of these as open logs.
	closing    bool // staged
	deleting   bool // staged
	closed     bool // durable
	deleted    bool // durable
	writtenOff bool // deleted, and no longer counted in the engine's sums
	unlisted   bool // it changed since the last roster
	how        logs.Closing

	attempt uint32
	first   int64 // the sequence of the first line

	next    int64  // staged: the sequence of the next line
	staging *group // the last group with a record of this stream, nil once settled
	recent  batches.Recent

	index []entry // durable, by sequence; a gap in it is lost lines
	end   int64   // durable: readers see the lines below it
	bytes int64   // durable, before compression

	readers *readers   // nil before the first one
	segs    []*segment // every segment that holds a record of this stream

	ttl  time.Duration
	last time.Duration // the last activity, on the engine's clock
}

// readers is what a stream has for its cursors. Most streams never have one.
type readers struct {
	refs     int            // cursors
	changed  chan struct{}  // closed and replaced when they have something to read
	blocks   []*logs.Batch  // read back from disk, see blockOwner
	archived *logs.Archived // where the lines are stored, if they are
}

// forReaders returns s.readers, which it makes if there are none. The caller
// holds s.mu.
func (s *stream) forReaders() *readers {
	if s.readers == nil {
		s.readers = new(readers)
	}
	return s.readers
}

// refs is the number of cursors. The caller holds s.mu.
func (s *stream) refs() int {
	if s.readers == nil {
		return 0
	}
	return s.readers.refs
}

// notify wakes the cursors. The caller holds s.mu.
func (s *stream) notify() {
	if r := s.readers; r != nil && r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// entry is where a run of lines is stored: in memory, on disk, or both.
type entry struct {
	first int64
	batch *logs.Batch // nil: not in memory
	seg   *segment    // nil: not on disk
	off   uint32      // of the record in seg
	size  uint32      // of the record's data
	count uint32
	raw   uint32 // of a compacted block: bytes before compression; otherwise 0
}

func (e *entry) compacted() bool { return e.raw > 0 }

// length is the bytes of the lines before compression.
func (e *entry) length() int64 {
	if e.compacted() {
		return int64(e.raw)
	}
	return int64(e.size)
}

func (e *entry) next() int64 { return e.first + int64(e.count) }

// staged is a record on its way to the disk.
type staged struct {
	s    *stream
	rec  record
	data []byte // until it is copied into the group
	off  int64  // of the record in its group

	compacts bool // it replaces records that take more space
}

// stage adds records to the log, or applies them at once if there is none. The
// caller holds s.mu.
func (s *stream) stage(items ...staged) error {
	for i := range items {
		it := &items[i]
		it.s, it.rec.stream, it.rec.size = s, s.num, uint32(len(it.data))
	}
	if s.eng.wal == nil {
		for _, it := range items {
			s.apply(it, it.data, nil, 0)
		}
		return nil
	}
	g, err := s.eng.wal.stage(items...)
	if err == nil {
		s.staging = g
	}
	return err
}

// apply makes a durable record visible. data is its data, nil in a replay. The
// caller holds s.mu.
func (s *stream) apply(it staged, data []byte, seg *segment, off int64) {
	if seg != nil && !s.deleted {
		s.hold(seg)
	}
	switch it.rec.kind {
	case kindOpen:
		s.ttl = time.Duration(it.rec.first)
	case kindLines:
		var b *logs.Batch
		if seg == nil || data != nil && (s.refs() > 0 || s.bytes < smallLog) {
			b = &logs.Batch{First: it.rec.first, Count: int64(it.rec.count), Data: slices.Clone(data)}
		}
		s.insert(entry{
			first: it.rec.first, count: it.rec.count, size: it.rec.size,
			batch: b, seg: seg, off: uint32(off),
		})
		s.end = max(s.end, it.rec.first+int64(it.rec.count))
		if b != nil {
			s.eng.memory.Add(s, b)
		}
	case kindCompacted:
		s.insert(entry{
			first: it.rec.first, count: it.rec.count, size: it.rec.size,
			seg: seg, off: uint32(off), raw: uint32(it.rec.next),
		})
	case kindClose:
		s.closed, s.how = true, closingOf(it.rec.flags)
	case kindDelete:
		s.delete()
	}
	s.notify()
}

// hold notes that seg has a record of s. The caller holds s.mu.
func (s *stream) hold(seg *segment) {
	if !s.in(seg) {
		s.segs = append(s.segs, seg)
		s.eng.wal.ref(seg)
	}
}

// in reports whether seg, the newest segment, has a record of s.
func (s *stream) in(seg *segment) bool { return len(s.segs) > 0 && s.segs[len(s.segs)-1] == seg }

// insert adds e to the index, replacing what covers the same lines.
func (s *stream) insert(e entry) {
	if s.deleted {
		return // its last cursors read what the index has; a compacted block is too late
	}
	i, j := len(s.index), len(s.index)
	if i > 0 && s.index[i-1].next() > e.first {
		i = sort.Search(len(s.index), func(i int) bool { return s.index[i].next() > e.first })
		j = i + sort.Search(len(s.index)-i, func(k int) bool { return s.index[i+k].first >= e.next() })
	}
	for k := i; k < j; k++ {
		s.account(&s.index[k], -1)
		if b := s.index[k].batch; b != nil {
			b.Release()
		}
	}
	s.account(&e, 1)
	if i == j && i == len(s.index) {
		s.index = append(s.index, e)
	} else if i == j {
		s.index = append(s.index, entry{})
		copy(s.index[i+1:], s.index[i:])
		s.index[i] = e
	} else {
		s.index[i] = e
		n := copy(s.index[i+1:], s.index[j:])
		clear(s.index[i+1+n:])
		s.index = s.index[:i+1+n]
	}
}

// account adds an entry to the sums, or subtracts it with sign -1.
func (s *stream) account(e *entry, sign int64) {
	if s.writtenOff {
		return
	}
	s.bytes += sign * e.length()
	if e.seg == nil {
		return
	}
	if !e.compacted() {
		s.eng.uncompacted.Add(sign)
	}
	s.eng.live.Add(sign * (recordHeader + int64(e.size)))
}

// drop releases everything: the stream is deleted and nobody reads it.
func (s *stream) drop() {
	s.gone.Store(true)
	s.eng.orphans.remove(s)
	for i := range s.index {
		s.account(&s.index[i], -1)
		if b := s.index[i].batch; b != nil {
			b.Release()
		}
	}
	s.index = nil
	s.eng.recent.Drop(&s.recent)
	s.eng.memory.Forget()
	s.dropBlocks()
	if s.eng.wal != nil {
		s.eng.wal.unref(s.segs)
		s.segs = nil
		s.eng.poke()
	}
}

// undo reverts a staged record whose group failed: the staged state returns to
// the durable one. The caller holds s.mu.
func (s *stream) undo(it staged) {
	switch it.rec.kind {
	case kindLines:
		s.next = min(s.next, it.rec.first)
		s.eng.recent.Undo(&s.recent, it.rec.first)
	case kindClose:
		s.closing = s.closed
	case kindDelete:
		s.deleting = s.deleted
	}
	s.staging = nil
}

// entriesAfter appends to dst the entries that contain the lines after sequence
// after, up to about limit bytes and at least one. gap is how many lines are
// missing directly after that sequence; if it is positive, there are no
// entries. The caller holds s.mu.
func (s *stream) entriesAfter(dst []entry, after int64, limit int) (gap int64, entries []entry) {
	pos := max(after+1, s.first)
	if pos >= s.end {
		return 0, dst
	}
	i := len(s.index)
	if i > 0 && s.index[i-1].first <= pos { // most readers are at the end
		if s.index[i-1].next() > pos {
			i--
		}
	} else {
		i = sort.Search(len(s.index), func(i int) bool { return s.index[i].next() > pos })
	}
	if i == len(s.index) {
		return s.end - pos, dst
	}
	if first := s.index[i].first; first > pos {
		return first - pos, dst
	}
	n := 0
	for ; i < len(s.index) && n < limit; i++ {
		e := s.index[i]
		if len(dst) > 0 && e.first != dst[len(dst)-1].next() {
			break // the next call returns the gap
		}
		dst = append(dst, e)
		n += int(e.length())
	}
	return 0, dst
}

func closingOf(flags uint8) logs.Closing {
	return logs.Closing{Incomplete: flags&flagIncomplete != 0, Archive: logs.Archiving(flags >> shiftArchive & 3)}
}

func closingFlags(how logs.Closing) uint8 {
	f := uint8(how.Archive) << shiftArchive
	if how.Incomplete {
		f |= flagIncomplete
	}
	return f
}
