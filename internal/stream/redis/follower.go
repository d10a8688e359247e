package redis

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/harness/log-service/internal/logs"
)

// follower is a stream as the readers of this node see it. New lines are read
// once, by the bucket's reader; older ones are read on request, and kept for a
// while for others. It lives from its first cursor to its last.
type follower struct {
	handle        // its generation is set before it has readers
	id     string // in the hash of the stream's readers

	attempt int64 // of the log; set with the generation, as first is
	first   int64 // the sequence of the first line

	dropped atomic.Bool
	fetches atomic.Int64  // how many entries to read at once, from their recent sizes
	loading chan struct{} // has an element while a cursor reads lines that are not in memory

	mu       sync.Mutex    // guards what follows
	resident []*logs.Batch // by sequence; other lines are in Redis or in a segment
	end      int64         // lines before it exist
	closed   bool          // no more lines follow
	broken   error         // why this node cannot follow any more
	changed  chan struct{} // closed and dropped when cursors have news

	refs    int  // cursors; guarded by followers.mu
	recount bool // report them again; guarded by followers.mu

	reported int   // cursors that Redis knows of; used by followers.report
	pos      int64 // the next sequence to be read; used by the bucket's reader
	done     bool  // nothing more is to be read; used by the bucket's reader
}

// Dropped implements batches.Stream.
func (f *follower) Dropped() bool { return f.dropped.Load() }

// Evict implements batches.Stream.
func (f *follower) Evict(first int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.search(first)
	if i == len(f.resident) || f.resident[i].First != first {
		return
	}
	f.resident[i].Release()
	n := copy(f.resident[i:], f.resident[i+1:])
	f.resident[i+n] = nil
	f.resident = f.resident[:i+n]
}

// search finds the first resident batch that ends after seq. The caller
// holds mu.
func (f *follower) search(seq int64) int {
	n := len(f.resident)
	if n > 0 && f.resident[n-1].First <= seq { // the usual reader is at the end
		if f.resident[n-1].Next() > seq {
			return n - 1
		}
		return n
	}
	return sort.Search(n, func(i int) bool { return f.resident[i].Next() > seq })
}

// drop releases everything: the last cursor is closed.
func (f *follower) drop() {
	f.dropped.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.resident {
		b.Release()
	}
	f.resident = nil
	f.memory.Forget()
}

// insert makes b resident, unless its lines already are.
func (f *follower) insert(b *logs.Batch) {
	i := f.search(b.First)
	if f.dropped.Load() || i < len(f.resident) && f.resident[i].First < b.Next() {
		return
	}
	f.resident = append(f.resident, nil)
	copy(f.resident[i+1:], f.resident[i:])
	f.resident[i] = b
	f.memory.Add(f, b)
}

// add adds what was read: batches, and the end of the stream.
func (f *follower) add(found []*logs.Batch, end int64, closed bool) {
	f.observed(end)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range found {
		f.insert(b)
	}
	if end > f.end || closed && !f.closed {
		f.end, f.closed = max(f.end, end), f.closed || closed
		f.wake()
	}
}

// known is the sequence up to which this node has seen the stream.
func (f *follower) known() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.end
}

// appended adds lines that this node has appended, from first on, so that they
// need not be read from Redis.
func (f *follower) appended(l logs.Lines, first int64) {
	f.add(cut(&logs.Batch{First: first, Count: l.Count, Data: l.Data}), first+l.Count, false)
	f.memory.Shrink()
}

// fail ends the cursors with err: their readers continue elsewhere.
func (f *follower) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == nil && !f.closed {
		f.broken = err
		f.wake()
	}
}

// wake is called with mu held.
func (f *follower) wake() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// after appends to dst the resident batches after the sequence after, up to about limit
// bytes. The caller holds mu.
func (f *follower) after(dst []*logs.Batch, after int64, limit int) []*logs.Batch {
	next := after + 1
	n := 0
	for i := f.search(next); i < len(f.resident) && n < limit; i++ {
		b := f.resident[i]
		if b.First > next {
			break
		}
		if b.First < next {
			b = b.From(next)
		}
		dst = append(dst, b)
		n, next = n+len(b.Data), b.Next()
	}
	return dst
}
