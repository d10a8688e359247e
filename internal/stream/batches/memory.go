package batches

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/harness/log-service/internal/logs"
)

// Memory keeps the batches of all streams under one budget: first in, first
// out. What it lets go of, its stream reads back from where it lies for good,
// or tells as a gap. Make one with NewMemory.
type Memory struct {
	budget int64
	used   atomic.Int64 // bytes of resident batches and their encoded forms
	clock  func() time.Duration

	mu    sync.Mutex // guards queue and stale; nothing else is taken under it
	queue []resident
	head  int // of queue
	stale int // items whose stream is dropped, about
}

// Stream is what Memory knows of a stream.
type Stream interface {
	// Evict lets the batch go that starts at first, where it is still
	// resident. Called without any lock.
	Evict(first int64)
	// Dropped reports whether all batches of the stream are released, for
	// good. It takes no lock.
	Dropped() bool
}

// resident names a batch without keeping it: a dropped stream must not be
// held by its place in the queue.
type resident struct {
	s     Stream
	first int64
	at    time.Duration
}

// NewMemory returns a Memory of budget bytes; clock never jumps.
func NewMemory(budget int64, clock func() time.Duration) *Memory {
	return &Memory{budget: budget, clock: clock}
}

// Used is how many bytes are resident, encoded forms included.
func (m *Memory) Used() int64 { return m.used.Load() }

// Add enters a batch that its stream's index already has. Called with the
// lock of s, so that no Evict comes between.
func (m *Memory) Add(s Stream, b *logs.Batch) {
	b.Hold(&m.used)
	m.mu.Lock()
	m.queue = append(m.queue, resident{s, b.First, m.clock()})
	m.mu.Unlock()
}

// Charge counts n bytes more, or fewer, that a stream keeps beside its batches.
func (m *Memory) Charge(n int64) { m.used.Add(n) }

// Forget notes that a stream is dropped, its batches released already.
func (m *Memory) Forget() {
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
		if !r.s.Dropped() {
			kept = append(kept, r)
		}
	}
	clear(m.queue[len(kept):])
	m.queue, m.head = kept, 0
}

// Shrink evicts until the budget is kept. Called without any lock.
func (m *Memory) Shrink() {
	for m.used.Load() > m.budget && m.evict(-1) {
	}
}

// Idle evicts what came in before the given time on the clock.
func (m *Memory) Idle(before time.Duration) {
	for m.evict(before) {
	}
}

// evict lets the oldest batch go, unless before is not negative and the
// batch is younger.
func (m *Memory) evict(before time.Duration) bool {
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
	r.s.Evict(r.first)
	return true
}

// Queued is how many batches wait to be let go.
func (m *Memory) Queued() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)
}
