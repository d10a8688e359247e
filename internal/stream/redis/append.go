package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/rueidis"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// maxAppend bounds one append, which is one command: Redis rejects commands of
// more than 512 MB or, together on a connection, 1 GB.
const maxAppend = 256 << 20

// mostHeld is how many times its limit a stream may hold in Redis before
// appends are rejected, if its lines cannot be offloaded: the blob store may be
// down for a while.
const mostHeld = 16

// maxEntry bounds the lines of one entry, and so what a reader receives at
// once. Larger appends become several entries, added by a script at two or
// three times the cost.
const maxEntry = 1 << 20

// appender adds lines to the streams of a bucket. Each append is one XADD whose
// ID is the sequence that this node expects to be next. If the stream is
// longer, Redis rejects it, and the node reads its tail again.
type appender struct {
	refresher
	offloader *offloader
}

// append adds l to a stream; see logs.Streams.
func (a *appender) append(ctx context.Context, name string, l logs.Lines) (next int64, err error) {
	if len(l.Data) > maxAppend {
		return 0, logservice.Errorf(logservice.ErrTooLarge, "an append of %d bytes is too large: at most %d go to Redis at once", len(l.Data), maxAppend)
	}
	t, err := a.tails.acquire(ctx, a.handle(name, ""))
	if err != nil {
		return 0, unavailable(err)
	}
	defer a.tails.release(t)
	sum := checksum(l)
	// What adds nothing is answered only after a refresh; what is added needs
	// none.
	for fresh := false; ; {
		t.stale = t.stale || !fresh && t.dials != a.redis.dials.Load()
		if t.shared > 0 && !t.stale && !fresh {
			a.catchUp(ctx, t)
		}
		if t.stale {
			if err := a.refresh(ctx, t); err != nil {
				return 0, err
			}
			fresh = true
		}
		if lost := t.lost(l); lost > t.next() {
			if fresh, err = a.add(ctx, t, []piece{t.gap(lost, a.id())}); err != nil {
				return 0, err
			}
			continue
		}
		done, err := a.answered(ctx, t, l, sum)
		if (done || err != nil) && !fresh {
			t.stale = true
			continue
		}
		if !done && err == nil {
			rest := l
			if l.Offset > 0 {
				rest = l.From(t.next())
			}
			done, err = a.store(ctx, t, rest, sum)
			fresh = false
		}
		switch {
		case err != nil:
			return 0, err
		case done:
			return t.next(), nil
		}
	}
}

// answered reports whether there is nothing to add: no lines, or lines that the
// stream has. The error is for lines that cannot be added.
func (a *appender) answered(ctx context.Context, t *tail, l logs.Lines, sum uint64) (bool, error) {
	switch next := t.next(); {
	case l.Offset > next:
		return false, &logservice.SequenceError{Offset: l.Offset, Expected: next}
	case l.Count == 0 || l.Offset > 0 && l.Offset+l.Count <= next:
		return true, nil
	}
	if known, err := a.recalls(ctx, t, l, sum); known || err != nil {
		return known, err
	}
	if t.offloadable() > mostHeld*a.offloader.limit {
		a.offloader.start(t.handle)
		return false, &logservice.UnavailableError{RetryAfter: time.Second,
			Cause: fmt.Errorf("the stream holds %d bytes in Redis, and its older lines cannot be offloaded to the blob store yet", t.inRedis())}
	}
	return false, nil
}

// checksum is what a retry of l is recognized by; zero if it is not.
func checksum(l logs.Lines) uint64 {
	if !l.Dedupe || l.Offset > 0 || l.Count == 0 {
		return 0
	}
	return xxhash.Sum64(l.Data)
}

// recalls reports whether l repeats a recent append that Redis still has.
func (a *appender) recalls(ctx context.Context, t *tail, l logs.Lines, sum uint64) (bool, error) {
	if sum == 0 {
		return false, nil
	}
	if err := a.recollect(ctx, t); err != nil {
		return false, err
	}
	x, ok := t.history.recent.Find(&batches.Append{Sum: sum, Count: uint32(l.Count)})
	if !ok {
		return false, nil
	}
	return a.has(ctx, t, x, l.Data)
}

// has reports whether the stream has the append x of this data. If some of its
// lines are in the blob store by now, only its checksum is compared.
func (a *appender) has(ctx context.Context, t *tail, x batches.Append, data []byte) (bool, error) {
	entries, err := t.entries(ctx, x.First-1, int64(2*len(data)/batches.PieceBytes))
	if err != nil {
		return false, err
	}
	if len(entries) > 0 && entries[0].first == x.First {
		left := string(data)
		for i := 0; i < len(entries) && left != "" && strings.HasPrefix(left, entries[i].data); i++ {
			left = left[len(entries[i].data):]
		}
		return left == "", nil
	}
	for _, e := range entries {
		if e.sum == x.Sum && e.next()-e.span == x.First && e.span == int64(x.Count) {
			return true, nil
		}
	}
	return a.isInSegment(ctx, t, x)
}

// store adds l after t; false: the stream is longer, or was deleted.
func (a *appender) store(ctx context.Context, t *tail, l logs.Lines, sum uint64) (bool, error) {
	// If the call is abandoned, the client may still send its argument. So it
	// gets a copy, which is reused only once the call is over.
	own := copies.Get().(*[]byte)
	*own = append((*own)[:0], l.Data...)
	l.Data = *own
	first := t.next()
	added, err := a.add(ctx, t, a.pieces(t, l, sum))
	if err != nil {
		return false, err
	}
	if f := a.followers.find(t.name, t.gen); f != nil && added {
		f.appended(l, first) // keeps the copy
	} else if cap(*own) <= keepCopy {
		copies.Put(own)
	}
	if added && t.inRedis() > a.offloader.limit {
		a.offloader.start(t.handle)
	}
	return added, nil
}

// keepCopy bounds the buffers that are kept: one batch of any usual size.
const keepCopy = 1 << 20

var copies = sync.Pool{New: func() any { return new([]byte) }}

// piece is an entry to be added.
type piece struct {
	header
	data []byte
}

// pieces returns the entries of l after t.
func (a *appender) pieces(t *tail, l logs.Lines, sum uint64) []piece {
	var all []piece
	h := header{kind: kindLines, bytes: t.head.bytes, cost: t.head.cost, clock: a.members.clock().Milliseconds(), node: a.id()}
	add := func(data []byte, count int64) {
		h.lines = count
		h.bytes += int64(len(data))
		h.cost += int64(len(data)) + entryCost
		all = append(all, piece{h, data})
	}
	if len(l.Data) <= maxEntry {
		add(l.Data, l.Count)
	} else {
		for data, count := range batches.Pieces(l.Data, l.Count) {
			add(data, count)
		}
	}
	last := &all[len(all)-1]
	last.sum, last.span = sum, l.Count
	return all
}

// gap is an entry for lost lines before next.
func (t *tailState) gap(next int64, node string) piece {
	h := t.head
	h.kind, h.lines, h.sum, h.span, h.node = kindGap, next-t.next(), 0, 0, node
	return piece{header: h}
}

// add adds entries after t, all or none, and advances t. False: the stream is
// longer, or was deleted, and t must be read again, as after an error.
func (a *appender) add(ctx context.Context, t *tail, pieces []piece) (added bool, err error) {
	next := t.next()
	ids, texts := make([]int64, len(pieces)), make([]string, len(pieces))
	for i, p := range pieces {
		ids[i], texts[i] = next, p.text()
		next += p.lines
	}
	t.stale = true
	_, err = a.redis.acked(ctx, func(ctx context.Context, on runner) (answer, error) {
		began := time.Now()
		var r rueidis.RedisResult
		if len(pieces) == 1 {
			r = on.Do(ctx, on.B().Xadd().Key(t.key("d")).Nomkstream().Id(itoa(ids[0])+"-0").
				FieldValue().FieldValue(texts[0], rueidis.BinaryString(pieces[0].data)).Build())
		} else {
			args := make([]string, 0, 3+3*len(pieces))
			args = append(args, t.name, a.members.now(), t.gen)
			for i, p := range pieces {
				args = append(args, itoa(ids[i])+"-0", texts[i], rueidis.BinaryString(p.data))
			}
			r = a.redis.scripts.append.run(ctx, on, a.root, args)
		}
		a.redis.metrics.seconds.Observe(time.Since(began).Seconds())
		switch err := r.Error(); {
		case err == nil:
			added = true
		case isOutdated(err):
			t.stale, t.shared = false, keepsShared
		case !rueidis.IsRedisNil(err): // nil: the stream was deleted
			return nil, a.redis.failed(err)
		}
		return nil, nil
	})
	if err == nil && added && t.dials != a.redis.dials.Load() {
		added, err = a.follows(ctx, t, ids)
	}
	if err != nil || !added {
		return false, err
	}
	for i, p := range pieces {
		t.follow(ids[i], texts[i], p.header)
	}
	t.stale = false
	t.observed(t.next())
	return true, nil
}

// follows reports whether added entries begin where the previous one ends, or
// after it: a Redis that lost the newest entries of t may have had others in
// their place. Entries that do not follow are removed.
// If others have as many lines in place of those, the history does not know them.
func (a *appender) follows(ctx context.Context, t *tail, ids []int64) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, key := a.redis.B(), t.key("d")
	for range 1<<connections + 1 { // any of them may have ended
		var list answer
		list, err = a.redis.Do(ctx, c.Xrevrange().Key(key).End("("+itoa(ids[0])+"-0").Start("-").Count(1).Build()).ToArray()
		if err != nil {
			continue
		}
		before := parseEntries(list)
		if len(before) > 0 && before[0].text() != t.text {
			t.forgetAppends()
		}
		if len(before) == 0 || before[0].next() <= ids[0] {
			return true, nil
		}
		remove := make([]string, len(ids))
		for i, id := range ids {
			remove[i] = itoa(id) + "-0"
		}
		if err = a.redis.Do(ctx, c.Xdel().Key(key).Id(remove...).Build()).Error(); err == nil {
			return false, nil
		}
	}
	return false, unavailable(err)
}

// isOutdated reports that an XADD was rejected because others have added to the
// stream.
func isOutdated(err error) bool {
	text, ok := rueidis.IsRedisErr(err)
	return ok && strings.Contains(text.Error(), "equal or smaller than the target stream top item")
}
