package redis

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

const (
	// maxTails bounds the streams of a bucket whose tails a node knows: those
	// written to recently, with some to spare.
	maxTails = 4096
	// keepsShared is for how many appends a node assumes that others still
	// append to a stream: a balancer sends one node several requests in a row.
	keepsShared = 8
	// maxGap is the most lines that the header of an entry can count.
	maxGap = math.MaxUint32
	// maxNewest is how many entries of others a node reads at once.
	maxNewest = 16
)

// tail is the end of a stream as this node knows it. Its next append is based
// on it, and rejected if the stream is longer by then.
type tail struct {
	refs   int           // appends that use it or wait for it; guarded by tails.mu
	busy   chan struct{} // has an element while an append uses the rest
	handle               // its generation is empty if nothing is known
	tailState
	history history
}

// tailState is the known state of a tail.
type tailState struct {
	stale     bool   // must be read again before it is used
	dials     int64  // of this node when it was read; see client.dial
	shared    int    // appends that catch up first, because other nodes append too
	first     int64  // of the newest entry
	text      string // its header; empty: unknown
	head      header // the same
	own       int64  // cost of that entry
	seen      int64  // next sequence that this node saw: what Redis lacks is lost
	offloaded int64  // cost of the lines in segments
	// restarted is when, in milliseconds of the service's clock, Redis was
	// found to be another process than before; zero if unknown.
	restarted int64
}

func (t *tailState) next() int64 { return t.first + t.head.lines }

// lost returns the sequence up to which lines must be recorded as lost before l
// is added. Lines that the writer still has, as its offset shows, are not lost,
// whoever has seen them. A writer whose offset is beyond all that is known got
// that answer if Redis has restarted since the newest entry; otherwise it is
// wrong.
func (t *tailState) lost(l logs.Lines) int64 {
	switch {
	case l.Count == 0:
		return 0
	case l.Offset > t.seen && t.head.clock < t.restarted && l.Offset-t.next() <= maxGap:
		return l.Offset
	case l.Offset > t.seen:
		return 0
	case l.Offset > 0:
		return l.Offset
	}
	return t.seen
}

// inRedis is the cost of what Redis holds, offloadable that of what could be
// offloaded: all but the newest entry.
func (t *tailState) inRedis() int64     { return t.head.cost - t.offloaded }
func (t *tailState) offloadable() int64 { return t.inRedis() - t.own }

// grow adds the next entry.
func (t *tailState) grow(first int64, text string, h header) {
	t.own = h.cost - t.head.cost
	t.first, t.text, t.head = first, text, h
	t.seen = max(t.seen, t.next())
}

// history is the recent appends of a stream, up to one entry, among which a
// retry is searched for. If other nodes append, or this one has not for a
// while, it lags, and what is missing is read when a retry is possible. It may
// have appends that Redis has lost; see appender.has.
type history struct {
	recent batches.Recent
	first  int64  // of that entry
	text   string // its header; empty: nothing is known
}

// knows reports whether the history reaches the last entry of a tail.
func (h *history) knows(t *tailState) bool {
	return h.text != "" && h.first == t.first && h.text == t.text
}

// follow adds the next entry.
func (t *tail) follow(first int64, text string, h header) {
	known := t.history.knows(&t.tailState)
	t.grow(first, text, h)
	if !known {
		return
	}
	t.history.first, t.history.text = first, text
	if h.sum != 0 {
		t.recent.Remember(&t.history.recent, milliseconds(h.clock), appendOf(t.next(), h))
	}
}

// forgetAppends empties the history.
func (t *tail) forgetAppends() {
	t.recent.Drop(&t.history.recent)
	t.history = history{}
}

// appendOf returns the append that ends before the sequence next with an entry
// of header h.
func appendOf(next int64, h header) batches.Append {
	return batches.Append{First: next - h.span, Sum: h.sum, Count: uint32(h.span), At: milliseconds(h.clock)}
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// tails are the tails of a bucket's streams that this node appended to
// recently.
type tails struct {
	recent *batches.RecentBudget // for their histories

	mu sync.Mutex // guards m, and the unused tails in it
	m  map[string]*tail
}

func newTails(b *batches.RecentBudget) *tails { return &tails{recent: b, m: map[string]*tail{}} }

// acquire returns the tail of a stream, for one append at a time; see release.
func (k *tails) acquire(ctx context.Context, h handle) (*tail, error) {
	k.mu.Lock()
	t := k.m[h.name]
	if t == nil {
		if len(k.m) >= maxTails {
			for other := range k.m { // any: it is read again
				k.remove(other)
				break
			}
		}
		t = &tail{busy: make(chan struct{}, 1), handle: h, tailState: tailState{stale: true}}
		k.m[h.name] = t
	}
	t.refs++
	k.mu.Unlock()
	select {
	case t.busy <- struct{}{}:
		return t, nil
	case <-ctx.Done():
		k.unref(t)
		return nil, ctx.Err()
	}
}

// release ends the use of a tail by an append.
func (k *tails) release(t *tail) {
	<-t.busy
	k.unref(t)
}

// unref drops what a tail remembers if it was removed and nobody uses it.
func (k *tails) unref(t *tail) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.refs--; t.refs == 0 && k.m[t.name] != t {
		t.forgetAppends()
	}
}

// remove removes the tail of a stream. The caller holds mu.
func (k *tails) remove(name string) {
	t := k.m[name]
	delete(k.m, name)
	if t != nil && t.refs == 0 {
		t.forgetAppends()
	}
}

// offloaded takes in what the lines of a generation cost that are in segments.
func (k *tails) offloaded(ctx context.Context, h handle, cost int64) {
	k.mu.Lock()
	known := k.m[h.name] != nil
	k.mu.Unlock()
	if !known {
		return
	}
	if t, err := k.acquire(ctx, h); err == nil {
		if t.gen == h.gen {
			t.offloaded = cost
		}
		k.release(t)
	}
}

// seen is how far this node saw a stream get when it appended to it, and of
// which generation.
func (k *tails) seen(name string) (gen string, next int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.m[name]; t != nil && t.refs == 0 {
		return t.gen, t.seen
	}
	return "", 0 // whoever appends finds out
}

// expire forgets old appends of streams that nobody appends to.
func (k *tails) expire(now time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.m {
		if t.refs == 0 {
			k.recent.Expire(&t.history.recent, now)
		}
	}
}

func (k *tails) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(name)
}
