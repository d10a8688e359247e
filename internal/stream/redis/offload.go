package redis

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/harness/log-service/internal/backoff"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

const (
	// maxSegment bounds the lines of one segment, in bytes before compression:
	// the memory for offloading.
	maxSegment = 4 << 20
	// Retries of an offload.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// offloader moves the older lines of a bucket's long streams to the blob store,
// as segments.
type offloader struct {
	*keyspace
	limit int64  // bytes of a stream in Redis
	tails *tails // to be notified

	mu      sync.Mutex      // guards running
	running map[string]bool // by generation; true: lines were added since it began
}

func newOffloader(k *keyspace, limit int64, t *tails) *offloader {
	return &offloader{keyspace: k, limit: limit, tails: t, running: map[string]bool{}}
}

// begin reports whether the caller must offload; otherwise the one that already
// does will check again.
func (o *offloader) begin(gen string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, busy := o.running[gen]
	o.running[gen] = busy
	return !busy
}

// end reports whether nothing was added since begin.
func (o *offloader) end(gen string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running[gen] {
		o.running[gen] = false
		return false
	}
	delete(o.running, gen)
	return true
}

// start offloads the older lines of a stream in the background, unless this
// node does already.
func (o *offloader) start(h handle) {
	if !o.begin(h.gen) {
		return
	}
	o.work.job(func(ctx context.Context) {
		retry := backoff.Backoff{First: firstRetry, Most: lastRetry}
		for {
			stored, err := o.offload(ctx, h)
			switch {
			case ctx.Err() != nil || err == nil && o.end(h.gen):
				return
			case err == nil:
				retry.Reset()
				continue
			case stored: // a long log may never end: each fault is a new one
				retry.Reset()
			}
			pause := retry.Next(0)
			h.log.Warn("cannot offload older lines of a stream from Redis to the blob store", "error", err, "retry_in", pause)
			if backoff.Sleep(ctx, pause) != nil {
				return
			}
		}
	})
}

// offload stores segments until half of what a stream may hold is left, and
// reports whether there was one.
func (o *offloader) offload(ctx context.Context, h handle) (stored bool, err error) {
	dead := ""
	for {
		c, err := o.claim(ctx, h, dead, "")
		if err != nil {
			return stored, err
		}
		if err := o.dropUnrecorded(ctx, h, c); err != nil {
			return stored, err
		}
		switch {
		case c.is == offloadHeld && dead == "" && h.members.isDead(ctx, c.holder):
			dead = c.holder
			continue
		case c.is == offloadHeld:
			return stored, nil
		case c.is == offloadGone:
			h.reap()
			return stored, nil
		}
		more := false
		if c.inRedis() > o.limit/2 {
			if more, err = o.storeSegment(ctx, h, dead, c); err != nil {
				return stored, err
			}
		}
		stored = stored || more
		if more {
			continue
		}
		// Even if only the newest entry is left.
		if again, err := o.release(ctx, h, c); err != nil || !again {
			return stored, err
		}
	}
}

// Results of offload.lua.
const (
	offloadGone = iota
	offloadMine
	offloadHeld
)

// offloadClaim is the state of the offloading of a stream.
type offloadClaim struct {
	is         int64
	unrecorded map[string]string // segments not recorded yet, and the nodes that store them
	holder     string
	first      int64 // not in a segment
	offloaded  int64 // cost of what is
	total      int64 // cost of all lines
}

func (c offloadClaim) inRedis() int64 { return c.total - c.offloaded }

// claim claims the offloading of a stream's oldest lines, also from a dead
// node, and records that a segment is being stored.
func (o *offloader) claim(ctx context.Context, h handle, dead, segment string) (offloadClaim, error) {
	a, err := h.call(ctx, h.redis.scripts.offload, h.name, h.members.now(), h.id(), h.gen, dead, segment)
	if err != nil {
		return offloadClaim{}, err
	}
	c := offloadClaim{is: a.int(0), unrecorded: map[string]string{}}
	for q := a.list(1); len(q) >= 2; q = q[2:] {
		c.unrecorded[q.text(0)] = q.text(1)
	}
	switch c.is {
	case offloadHeld:
		c.holder = a.text(4)
	case offloadMine:
		c.total = a.int(4)
	}
	if c.is != offloadGone {
		c.first, c.offloaded = a.int(2), a.int(3)
		o.tails.offloaded(ctx, h, c.offloaded)
	}
	return c, nil
}

// release releases the claim c, unless again is set because others have added
// much since.
func (o *offloader) release(ctx context.Context, h handle, c offloadClaim) (again bool, err error) {
	a, err := h.call(ctx, h.redis.scripts.release, h.name, h.members.now(), h.id(), h.gen, itoa(c.total), itoa(o.limit))
	return a.int(0) == 1, err
}

// dropUnrecorded removes segments that this node or a dead one may have stored
// but did not record. The holder of the claim may still record its own.
func (o *offloader) dropUnrecorded(ctx context.Context, h handle, c offloadClaim) error {
	for segment, node := range c.unrecorded {
		if node == c.holder || node != h.id() && !h.members.isDead(ctx, node) {
			continue
		}
		if err := o.drop(ctx, h, segment); err != nil {
			return err
		}
	}
	return nil
}

// drop removes an unrecorded segment from the store.
func (o *offloader) drop(ctx context.Context, h handle, segment string) error {
	if s, ok := parseSegment(h.gen, segment); ok {
		if err := h.store.Delete(ctx, s.id); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := h.redis.Do(ctx, h.redis.B().Hdel().Key(h.key("q")).Field(segment).Build()).Error(); err != nil {
		return unavailable(err)
	}
	return nil
}

// storeSegment makes a segment of the lines from c.first on: named in Redis,
// durable in the blob store, then recorded in Redis, then trimmed there. It can
// fail at any step: what is not recorded is not a segment, is removed, and is
// stored again under another name. False: there is nothing to offload.
func (o *offloader) storeSegment(ctx context.Context, h handle, dead string, c offloadClaim) (bool, error) {
	entries, err := o.oldest(ctx, h, c.first)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	last := entries[len(entries)-1]
	s := newSegment(h.gen, c.first, last.next())
	if c, err = o.claim(ctx, h, dead, s.name()); err != nil || c.is != offloadMine || c.first != s.first {
		return err == nil, err // the next claim shows why
	}
	body, info, err := h.encode(entries, s.first)
	if err != nil {
		return false, err
	}
	if err := h.store.Put(ctx, s.id, body, info); err != nil {
		return false, err
	}
	trace, appends, youngest := traceOf(entries)
	a, err := h.call(ctx, h.redis.scripts.offloaded, h.name, h.members.now(), h.id(), h.gen,
		itoa(s.first), itoa(s.next), s.name(), itoa(last.cost),
		rueidis.BinaryString(trace), itoa(appends), itoa(youngest), itoa(batches.RecentTime.Milliseconds()), itoa(batches.MaxRecent))
	if err != nil {
		return false, err // it may be recorded: the next claim shows that
	}
	if a.int(0) == 0 {
		return true, o.drop(ctx, h, s.name())
	}
	return true, nil
}

// oldest reads as many of the entries from first on as make a segment. The
// newest entry of a stream stays in Redis: appends are based on it.
func (o *offloader) oldest(ctx context.Context, h handle, first int64) ([]entry, error) {
	most := min(max(o.limit/4, 1), maxSegment)
	var all []entry
	for size := int64(0); size < most; {
		page, err := h.entries(ctx, first-1, firstFetch)
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			size += x.own()
		}
		all = append(all, page...)
		if len(page) <= 1 || page[len(page)-1].end() {
			break
		}
		first = page[len(page)-1].next()
	}
	return all[:max(len(all)-1, 0)], nil
}

// encode makes the blob of a segment that begins with the sequence next.
func (n *node) encode(entries []entry, next int64) (*bytes.Buffer, logs.BlobInfo, error) {
	var out bytes.Buffer
	w := n.codec.NewWriter(&out)
	for _, x := range entries {
		found := []*logs.Batch{x.batch()}
		if x.first > next { // lost, and not recorded
			found = []*logs.Batch{logs.NewGap(next, x.first-next), found[0]}
		}
		for _, f := range found {
			if err := w.Append(f); err != nil {
				return nil, logs.BlobInfo{}, err
			}
		}
		next = x.next()
	}
	sum, err := w.Close()
	return &out, logs.BlobInfo{Archive: true, RawSize: sum.RawSize, Lines: sum.Lines}, err
}
