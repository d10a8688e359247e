package redis

import (
	"context"
	"encoding/binary"
	"math"
	"sync"

	"github.com/harness/log-service/internal/logs"
)

const (
	// maxTails bounds the streams of a bucket that a node knows the tails of:
	// those written to lately, with some to spare.
	maxTails = 4096
	// keepsShared is for how many appends a node takes others to append too
	// that have done so lately: a balancer gives one a few requests in a row.
	keepsShared = 8
	// maxGap is as many lines as the header of an entry can count.
	maxGap = math.MaxUint32
	// maxRecent is how many appends a retry is looked for among.
	maxRecent = 16
)

// tail is the end of a stream as far as this node knows: what it appends next
// builds on it, and is refused where the stream has gone on meanwhile.
type tail struct {
	busy   chan struct{} // holds one while an append uses the rest
	handle               // its generation is empty where nothing is known
	tailState
}

// tailState is what is known of a tail.
type tailState struct {
	stale     bool   // to be read again before it is built on
	dials     int64  // of this node when it was read; see client.dial
	shared    int    // appends that catch up first, as other nodes append too
	first     int64  // of the newest entry
	text      string // the header of that; empty: not known
	head      header // the same
	own       int64  // what that entry costs
	seen      int64  // next sequence as this node saw it: what Redis has not is lost
	offloaded int64  // cost of the lines in segments
	// restarted is when, in milliseconds of the service's clock, Redis was found
	// to be another process than before; zero where that is not known.
	restarted int64
	held      int64 // first sequence that is not in a segment
	recent    []recent
}

// recent is an append that may be tried again.
type recent struct {
	sum          uint64
	first, count int64
}

func (t *tailState) next() int64 { return t.first + t.head.lines }

// lost returns the sequence up to which lines must be noted as lost before l
// is added. What a writer still has is not lost, whoever has seen it: it says
// so by an offset. One that says an offset beyond all that is known was
// answered so, if Redis has restarted since the newest entry; otherwise it errs.
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

// inRedis is the cost of what Redis holds, offloadable of what could be
// offloaded: the newest entry stays.
func (t *tailState) inRedis() int64     { return t.head.cost - t.offloaded }
func (t *tailState) offloadable() int64 { return t.inRedis() - t.own }

// grow takes in the entry that follows.
func (t *tailState) grow(first int64, text string, h header) {
	t.own = h.cost - t.head.cost
	t.first, t.text, t.head = first, text, h
	t.seen = max(t.seen, t.next())
	if h.sum != 0 {
		t.remember(recent{h.sum, t.next() - h.span, h.span})
	}
}

func (t *tailState) remember(r recent) {
	if len(t.recent) == maxRecent {
		t.recent = append(t.recent[:0], t.recent[1:]...)
	}
	t.recent = append(t.recent, r)
}

// tails are those of the streams of a bucket that this node appended to lately.
type tails struct {
	mu sync.Mutex // guards m
	m  map[string]*tail
}

func newTails() *tails { return &tails{m: map[string]*tail{}} }

// acquire returns the tail of a stream, for one append at a time; see release.
func (k *tails) acquire(ctx context.Context, h handle) (*tail, error) {
	k.mu.Lock()
	t := k.m[h.name]
	if t == nil {
		if len(k.m) >= maxTails {
			for other := range k.m { // any: it is read again
				delete(k.m, other)
				break
			}
		}
		t = &tail{busy: make(chan struct{}, 1), handle: h, tailState: tailState{stale: true}}
		k.m[h.name] = t
	}
	k.mu.Unlock()
	select {
	case t.busy <- struct{}{}:
		return t, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *tail) release() { <-t.busy }

// offloaded takes in that the lines of a generation below first are in segments.
func (k *tails) offloaded(ctx context.Context, h handle, first, cost int64) {
	k.mu.Lock()
	t := k.m[h.name]
	k.mu.Unlock()
	if t == nil {
		return
	}
	select {
	case t.busy <- struct{}{}:
		if t.gen == h.gen {
			t.held, t.offloaded = first, cost
		}
		t.release()
	case <-ctx.Done():
	}
}

// seen is how far this node saw a stream get when it appended to it, and of
// which generation.
func (k *tails) seen(name string) (gen string, next int64) {
	k.mu.Lock()
	t := k.m[name]
	k.mu.Unlock()
	if t == nil {
		return "", 0
	}
	select {
	case t.busy <- struct{}{}:
		defer t.release()
		return t.gen, t.seen
	default: // whoever appends finds out
		return "", 0
	}
}

func (k *tails) forget(name string) {
	k.mu.Lock()
	delete(k.m, name)
	k.mu.Unlock()
}

// Recents as Redis keeps those of appends that are in segments: sum 8, first 8
// and count 4 bytes each.
const recentSize = 20

func recentsText(all []recent) string {
	all = all[max(0, len(all)-maxRecent):]
	t := make([]byte, 0, recentSize*len(all))
	for _, r := range all {
		t = binary.BigEndian.AppendUint64(t, r.sum)
		t = binary.BigEndian.AppendUint64(t, uint64(r.first))
		t = binary.BigEndian.AppendUint32(t, uint32(r.count))
	}
	return string(t)
}

func parseRecents(text string) (all []recent) {
	for t := []byte(text); len(t) >= recentSize && len(all) < maxRecent; t = t[recentSize:] {
		all = append(all, recent{
			sum:   binary.BigEndian.Uint64(t),
			first: int64(binary.BigEndian.Uint64(t[8:])),
			count: int64(binary.BigEndian.Uint32(t[16:])),
		})
	}
	return all
}
