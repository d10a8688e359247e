package stream

import (
	"bytes"
	"time"

	"github.com/harness/log-service/internal/stream/batches"
)

// addPiece includes the next piece of an append in what identifies it.
func addPiece(a *batches.Append, count uint32, size uint32, crc uint32) {
	a.Count += count
	a.Size += size
	a.Sum = (a.Sum^uint64(size))*0x9e3779b97f4a7c15 + uint64(crc)
}

// remember adds appends, in order, to the recent ones. The caller holds s.mu.
func (s *stream) remember(list ...batches.Append) {
	now := s.eng.clock()
	for i := range list {
		list[i].At = now // staged or replayed
	}
	s.eng.recent.Remember(&s.recent, now, list...)
}

// expireRecent forgets old appends, also those of idle streams.
func (e *Engine) expireRecent(now time.Duration) {
	if e.recent.Count() == 0 {
		return
	}
	for _, s := range e.all() {
		s.mu.Lock()
		e.recent.Expire(&s.recent, now)
		s.mu.Unlock()
	}
}

// isRetry reports whether data is identical to a recent append. The caller
// holds s.mu.
func (s *stream) isRetry(id batches.Append, data []byte) (bool, error) {
	r, ok := s.recent.Find(&id)
	if !ok {
		return false, nil
	}
	// What is not durable yet is in a group's buffer, which must not be read,
	// so the checksums must suffice: its sender has had no answer yet, so a
	// retry is to be expected.
	if r.First+int64(r.Count) > s.end {
		return true, nil
	}
	return s.hasLines(r.First, data)
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
	s.eng.recent.Expire(&s.recent, s.eng.clock())
	list := s.recent.Between(first, next)
	if len(list) == 0 {
		return it, false
	}
	data := batches.EncodeAppends(nil, list)
	return staged{data: data, rec: record{
		kind: kindRecent, first: first, count: uint32(len(list)), dataCRC: checksum(data),
	}}, true
}
