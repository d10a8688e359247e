package stream

import "sort"

// Dropped implements batches.Stream.
func (s *stream) Dropped() bool { return s.gone.Load() }

// Evict implements batches.Stream: it takes the batch that starts at first out
// of memory.
func (s *stream) Evict(first int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].first >= first })
	if i == len(s.index) || s.index[i].first != first || s.index[i].batch == nil {
		return
	}
	s.index[i].batch.Release()
	s.index[i].batch = nil
	if s.index[i].seg != nil {
		return
	}
	// Without a log the lines are gone. Eviction is in order, so the hole is
	// at the front, and the index forgets it.
	n := 0
	for n < len(s.index) && s.index[n].batch == nil {
		s.account(&s.index[n], -1)
		n++
	}
	s.index = s.index[n:]
}
