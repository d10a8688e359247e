package batches

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/harness/log-service/internal/logs"
)

// Memory holds the batches of all streams under one budget: first in, first
// out. The stream of an evicted batch reads it back from its permanent storage,
// or reports it as a gap. Create one with NewMemory.
type Memory struct {
	budget int64
	used   atomic.Int64 // bytes of resident batches and their encoded forms
	clock  func() time.Duration

	mu    sync.Mutex // guards queue and stale; nothing else is taken under it
	queue []resident
	head  int // of queue
	stale int // items whose stream is dropped, approximately
}

// Stream is what Memory knows of a stream.
type Stream interface {
	// Evict releases the batch that starts at first, if it is still resident.
	// It is called without any lock.
	Evict(first int64)
	// Dropped reports whether all batches of the stream are permanently
	// released. It takes no lock.
	Dropped() bool
}

// resident identifies a batch without referring to it: a dropped stream must
// not stay in memory because of its place in the queue.
type resident struct {
	s     Stream
	first int64
	at    time.Duration
}

// NewMemory returns a Memory with a budget in bytes; clock must never jump.
func NewMemory(budget int64, clock func() time.Duration) *Memory {
	return &Memory{budget: budget, clock: clock}
}

// Used is the resident bytes, including encoded forms.
func (m *Memory) Used() int64 { return m.used.Load() }

// Add adds a batch that is already in the index of its stream. It is called
// with the lock of s, so that no Evict comes between.
func (m *Memory) Add(s Stream, b *logs.Batch) {
	b.Hold(&m.used)
	m.mu.Lock()
	m.queue = append(m.queue, resident{s, b.First, m.clock()})
	m.mu.Unlock()
}

// Charge adds n, which may be negative, to the bytes that streams hold beside
// their batches.
func (m *Memory) Charge(n int64) { m.used.Add(n) }

// Forget notes that a stream was dropped and its batches are released.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stale++
	if m.stale < 1024 {
		return
	}
	// Dropped streams leave their items in the queue while nothing is evicted.
	// They are removed once there are many.
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

// Shrink evicts until the budget is met. It is called without any lock.
func (m *Memory) Shrink() {
	for m.used.Load() > m.budget && m.evict(-1) {
	}
}

// Idle evicts what was added before the given time on the clock.
func (m *Memory) Idle(before time.Duration) {
	for m.evict(before) {
	}
}

// evict evicts the oldest batch, unless before is not negative and the batch is
// newer.
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

// Queued is the number of batches in the queue.
func (m *Memory) Queued() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)
}
