package stream

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"time"
)

const (
	// recentTime is how long an append is recognized by its bytes: clients
	// retry for 2 minutes, and the last attempt may take a while to arrive.
	recentTime = 150 * time.Second
	// maxRecent limits the appends remembered per stream: 400 per second.
	maxRecent = 1 << 16
	// recentShare: 1/recentShare of the memory budget may be used for the
	// remembered appends of all streams. Beyond it, a stream with more than
	// minRecent of them forgets its oldest for each new one.
	recentShare = 4
	minRecent   = 16
	// recentBytes is about what a remembered append takes in memory, including
	// its map entry.
	recentBytes = 64
	// scanRecent is how many appends are searched linearly, without a map.
	scanRecent = 32
)

// recentAppend identifies an append by the checksums of its pieces.
type recentAppend struct {
	first int64
	sum   uint64
	count uint32
	size  uint32
	at    time.Duration // when it was staged or replayed, on the engine's clock
}

// add includes the next piece of the same append.
func (r *recentAppend) add(count uint32, size uint32, crc uint32) {
	r.count += count
	r.size += size
	r.sum = (r.sum^uint64(size))*0x9e3779b97f4a7c15 + uint64(crc)
}

// same reports whether both have the same checksums and lengths.
func (r *recentAppend) same(x *recentAppend) bool {
	return r.sum == x.sum && r.count == x.count && r.size == x.size
}

// recents are the last appends of a stream. The zero value is empty; a nil one
// can be read.
type recents struct {
	list  []recentAppend   // by first
	bySum map[uint64]int64 // first of the newest with that sum; nil while the list is short
}

func (l *recents) len() int {
	if l == nil {
		return 0
	}
	return len(l.list)
}

// search returns the index of the append that starts at first, or where it
// would be inserted.
func (l *recents) search(first int64) int {
	if l == nil {
		return 0
	}
	return sort.Search(len(l.list), func(i int) bool { return l.list[i].first >= first })
}

// insert adds appends, in order, and returns how many are new.
func (l *recents) insert(list ...recentAppend) (added int) {
	n := len(l.list)
	l.list = append(l.list, list...)
	if n > 0 && l.list[n-1].first >= l.list[n].first { // older ones, in a replay
		slices.SortStableFunc(l.list, func(a, b recentAppend) int { return cmp.Compare(a.first, b.first) })
		l.list = slices.CompactFunc(l.list, func(a, b recentAppend) bool { return a.first == b.first })
		l.bySum, list = nil, l.list
	}
	if l.bySum == nil && len(l.list) > scanRecent {
		l.bySum, list = make(map[uint64]int64, len(l.list)), l.list
	}
	if l.bySum != nil {
		for _, r := range list {
			l.bySum[r.sum] = r.first
		}
	}
	return len(l.list) - n
}

// cut removes the appends with indices from ≤ i < to, which are the oldest or
// the newest of the list.
func (l *recents) cut(from, to int) {
	if l.bySum != nil {
		for _, r := range l.list[from:to] {
			if l.bySum[r.sum] == r.first {
				delete(l.bySum, r.sum)
			}
		}
	}
	if from == 0 {
		l.list = l.list[to:]
	} else {
		l.list = l.list[:from]
	}
}

// find returns the newest append that is the same as r.
func (l *recents) find(r *recentAppend) (recentAppend, bool) {
	if l == nil {
		return recentAppend{}, false
	}
	if l.bySum != nil {
		first, ok := l.bySum[r.sum]
		if !ok {
			return recentAppend{}, false
		}
		x := l.list[l.search(first)]
		return x, x.same(r)
	}
	for i := len(l.list) - 1; i >= 0; i-- {
		if l.list[i].same(r) {
			return l.list[i], true
		}
	}
	return recentAppend{}, false
}

// remember adds appends, in order, to the recent ones. The caller holds s.mu.
func (s *stream) remember(list ...recentAppend) {
	if len(list) == 0 {
		return
	}
	now := s.eng.clock()
	for i := range list {
		list[i].at = now
	}
	if s.recent == nil {
		s.recent = new(recents)
	}
	added := int64(s.recent.insert(list...))
	s.eng.memory.Charge(added * recentBytes)
	over := s.eng.recentCount.Add(added) > s.eng.recentLimit
	n := s.recent.len()
	drop := max(0, n-maxRecent)
	if over {
		drop = max(drop, min(int(added), n-minRecent))
	}
	s.forgetRecent(0, drop)
	s.expireRecent(now)
}

// expireRecent forgets the appends older than recentTime. The caller holds
// s.mu.
func (s *stream) expireRecent(now time.Duration) {
	n := 0
	for n < s.recent.len() && s.recent.list[n].at < now-recentTime {
		n++
	}
	s.forgetRecent(0, n)
}

// forgetRecent is recents.cut with its accounting. The caller holds s.mu.
func (s *stream) forgetRecent(from, to int) {
	if n := int64(to - from); n > 0 {
		if s.recent.cut(from, to); s.recent.len() == 0 {
			s.recent = nil
		}
		s.eng.recentCount.Add(-n)
		s.eng.memory.Charge(-n * recentBytes)
	}
}

// expireAllRecent forgets old appends also in idle streams.
func (e *Engine) expireAllRecent() {
	if e.recentCount.Load() == 0 {
		return
	}
	now := e.clock()
	for _, s := range e.all() {
		s.mu.Lock()
		s.expireRecent(now)
		s.mu.Unlock()
	}
}

// isRetry reports whether data is identical to a recent append. The caller
// holds s.mu.
func (s *stream) isRetry(id recentAppend, data []byte) (bool, error) {
	r, ok := s.recent.find(&id)
	if !ok {
		return false, nil
	}
	// What is not durable yet is in a group's buffer, which must not be read,
	// so the checksums must suffice: its sender has had no answer yet, so a
	// retry is to be expected.
	if r.first+int64(r.count) > s.end {
		return true, nil
	}
	return s.hasLines(r.first, data)
}

// hasLines reports whether the stream has the lines of data from sequence first
// on, in whatever form they are stored. The caller holds s.mu.
func (s *stream) hasLines(first int64, data []byte) (bool, error) {
	var entries []entry
	for pos := first; len(data) > 0; {
		_, entries = s.entriesAfter(entries[:0], pos-1, min(len(data), nextBytes))
		found, err := s.eng.read(s, entries)
		if err != nil || len(found) == 0 {
			return false, err
		}
		for _, b := range found {
			if b.First < pos {
				b = b.From(pos)
			}
			n := min(len(b.Data), len(data))
			if b.Gap || !bytes.Equal(b.Data[:n], data[:n]) {
				return false, nil
			}
			data, pos = data[n:], b.Next()
		}
	}
	return true, nil
}

// recentRecord is stored beside the compacted lines first ≤ n < next, which no
// longer show how they were appended. ok is false if there is nothing to store.
// The caller holds s.mu.
func (s *stream) recentRecord(first, next int64) (it staged, ok bool) {
	s.expireRecent(s.eng.clock())
	from, to := s.recent.search(first), s.recent.search(next)
	if from == to {
		return it, false
	}
	list := s.recent.list[from:to]
	data := appendRecents(nil, list)
	return staged{data: data, rec: record{
		kind: kindRecent, first: first, count: uint32(len(list)), dataCRC: checksum(data),
	}}, true
}

// appendRecents encodes appends: for each the distance of its first sequence
// from the previous one, its lines and its bytes as varints, and its sum.
func appendRecents(dst []byte, list []recentAppend) []byte {
	before := int64(0)
	for _, r := range list {
		dst = binary.AppendUvarint(dst, uint64(r.first-before))
		dst = binary.AppendUvarint(dst, uint64(r.count))
		dst = binary.AppendUvarint(dst, uint64(r.size))
		dst = binary.LittleEndian.AppendUint64(dst, r.sum)
		before = r.first
	}
	return dst
}

// parseRecents decodes the output of appendRecents, as far as it is intact.
func parseRecents(data []byte) (list []recentAppend) {
	before := int64(0)
	for len(data) > 0 {
		var v [3]uint64
		for i := range v {
			x, n := binary.Uvarint(data)
			if n <= 0 {
				return list
			}
			v[i], data = x, data[n:]
		}
		if len(data) < 8 {
			return list
		}
		before += int64(v[0])
		list = append(list, recentAppend{
			first: before, count: uint32(v[1]), size: uint32(v[2]), sum: binary.LittleEndian.Uint64(data),
		})
		data = data[8:]
	}
	return list
}
