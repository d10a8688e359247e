package stream

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harness/log-service/internal/logs"
)

// memory keeps the batches in memory under a budget: first in, first out over
// all streams, which is also the order in which they went to disk. What it
// lets go of is read back from there, or, in an engine without a log, is gone
// and shows as a gap.
type memory struct {
	budget int64
	used   atomic.Int64 // bytes of resident batches and their encoded forms
	clock  func() time.Duration

	mu    sync.Mutex // guards queue and stale; nothing else is taken under it
	queue []resident
	head  int // of queue
	stale int // items whose stream is dropped, about
}

// resident names a batch without keeping it: a dropped stream must not be
// held by its place in the queue.
type resident struct {
	s     *stream
	first int64
	at    time.Duration
}

// add enters a batch that its stream's index already has. Called with s.mu.
func (m *memory) add(s *stream, b *logs.Batch) {
	b.Hold(&m.used)
	m.mu.Lock()
	m.queue = append(m.queue, resident{s, b.First, m.clock()})
	m.mu.Unlock()
}

// dropped notes that the batches of a stream are released already. Called
// with its mu.
func (m *memory) dropped() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stale++
	if m.stale < 1024 {
		return
	}
	// Streams that came and went leave their items behind where nothing
	// presses them out; sweep them every so many streams.
	m.stale = 0
	kept := m.queue[:0]
	for _, r := range m.queue[m.head:] {
		if !r.s.gone.Load() {
			kept = append(kept, r)
		}
	}
	clear(m.queue[len(kept):])
	m.queue, m.head = kept, 0
}

// shrink evicts until the budget is kept. Called without any lock.
func (m *memory) shrink() {
	for m.used.Load() > m.budget && m.evict(-1) {
	}
}

// idle evicts what came in before the given time on the engine's clock.
func (m *memory) idle(before time.Duration) {
	for m.evict(before) {
	}
}

// evict lets the oldest batch go, unless before is not negative and the
// batch is younger.
func (m *memory) evict(before time.Duration) bool {
	m.mu.Lock()
	if m.head == len(m.queue) {
		m.mu.Unlock()
		return false
	}
	r := m.queue[m.head]
	if before >= 0 && r.at >= before {
		m.mu.Unlock()
		return false
	}
	m.queue[m.head] = resident{}
	m.head++
	if m.head == len(m.queue) {
		m.queue, m.head = m.queue[:0], 0
		if cap(m.queue) > 1<<16 {
			m.queue = nil
		}
	} else if m.head > 1024 && m.head > len(m.queue)/2 {
		n := copy(m.queue, m.queue[m.head:])
		clear(m.queue[n:])
		m.queue, m.head = m.queue[:n], 0
	}
	m.mu.Unlock()
	r.s.evict(r.first)
	return true
}

// evict takes the batch that starts at first out of memory.
func (s *stream) evict(first int64) {
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
