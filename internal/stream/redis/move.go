package redis

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/harness/log-service/internal/logs"
)

const (
	// maxPart bounds the lines of one part, in bytes before compression: what
	// a move holds in memory.
	maxPart = 4 << 20
	// Retries of a move.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// moves are the generations that this node moves lines of; true where more have
// been added since the last look.
type moves struct {
	mu sync.Mutex // guards m
	m  map[string]bool
}

// begin reports whether the caller is to move lines; whoever does already looks
// again.
func (v *moves) begin(gen string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, busy := v.m[gen]
	v.m[gen] = busy
	return !busy
}

// end reports whether there is nothing more to be moved.
func (v *moves) end(gen string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.m[gen] {
		v.m[gen] = false
		return false
	}
	delete(v.m, gen)
	return true
}

// move moves the older lines of a stream to the blob store, in the
// background, unless this node does already.
func (e *Engine) move(b *bucket, name, gen string) {
	if !b.moves.begin(gen) {
		return
	}
	e.background(func(ctx context.Context) {
		retry := backoff.NewExponentialBackOff()
		retry.InitialInterval, retry.MaxInterval = firstRetry, lastRetry
		for {
			moved, err := e.moveAll(ctx, b, name, gen)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				if b.moves.end(gen) {
					return
				}
				retry.Reset()
				continue
			}
			if moved { // a log that is long never ends: each fault is a new one
				retry.Reset()
			}
			pause := retry.NextBackOff()
			e.log.Warn("cannot offload older lines of a stream from Redis to the blob store", "error", err, "retry_in", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	})
}

// moveAll moves parts until half of what a stream may hold is left, and
// reports whether there was one.
func (e *Engine) moveAll(ctx context.Context, b *bucket, name, gen string) (moved bool, err error) {
	dead := ""
	for {
		c, err := e.claimMove(ctx, b, name, gen, dead, "")
		if err != nil {
			return moved, err
		}
		if err := e.dropUnrecorded(ctx, b, name, gen, c); err != nil {
			return moved, err
		}
		switch {
		case c.is == moveHeld && dead == "" && e.dead(ctx, c.holder):
			dead = c.holder
			continue
		case c.is == moveHeld:
			return moved, nil
		case c.is == moveGone:
			e.bury(b, name, gen)
			return moved, nil
		}
		more := false
		if c.inRedis() > e.config.StreamMemory/2 {
			if more, err = e.movePart(ctx, b, name, gen, dead, c); err != nil {
				return moved, err
			}
		}
		if !more { // also where nothing but the newest entry is left
			return moved, e.releaseMove(ctx, b, name, gen)
		}
		moved = true
	}
}

// What part.lua answers.
const (
	moveGone = iota
	moveMine
	moveHeld
)

// moveClaim is what is known of the moving of a stream's lines.
type moveClaim struct {
	is         int64
	unrecorded map[string]string // parts that are none yet, and the nodes that store them
	holder     string
	first      int64 // not in a part
	moved      int64 // cost of what is
	recent     string
	total      int64 // cost of all lines
}

func (c moveClaim) inRedis() int64 { return c.total - c.moved }

// claimMove claims the moving of a stream's oldest lines, from this node or one
// that is dead, and notes that a part is being stored.
func (e *Engine) claimMove(ctx context.Context, b *bucket, name, gen, dead, part string) (moveClaim, error) {
	a, err := e.call(ctx, e.scripts.part, b.root, name, e.now(), e.node, gen, dead, part)
	if err != nil {
		return moveClaim{}, err
	}
	c := moveClaim{is: a.int(0), unrecorded: map[string]string{}}
	for q := a.list(1); len(q) >= 2; q = q[2:] {
		c.unrecorded[q.text(0)] = q.text(1)
	}
	switch c.is {
	case moveHeld:
		c.holder = a.text(4)
	case moveMine:
		c.recent, c.total = a.text(4), a.int(5)
	}
	if c.is != moveGone {
		c.first, c.moved = a.int(2), a.int(3)
		b.tails.moved(ctx, name, gen, c.first, c.moved)
	}
	return c, nil
}

func (e *Engine) releaseMove(ctx context.Context, b *bucket, name, gen string) error {
	_, err := e.call(ctx, e.scripts.moved, b.root, name, e.now(), e.node, gen, "", "", "", "", "")
	return err
}

// dropUnrecorded removes parts that this node or a dead one stored, perhaps,
// and did not record. Who holds the claim may still record its own.
func (e *Engine) dropUnrecorded(ctx context.Context, b *bucket, name, gen string, c moveClaim) error {
	for part, node := range c.unrecorded {
		if node == c.holder || node != e.node && !e.dead(ctx, node) {
			continue
		}
		if err := e.dropPart(ctx, b, name, gen, part); err != nil {
			return err
		}
	}
	return nil
}

// dropPart removes what is stored of a part that is not recorded.
func (e *Engine) dropPart(ctx context.Context, b *bucket, name, gen, part string) error {
	if p, ok := parsePart(gen, part); ok {
		if err := e.config.Store.Delete(ctx, p.id); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := e.client.Do(ctx, e.client.B().Hdel().Key(b.key("q", gen, name)).Field(part).Build()).Error(); err != nil {
		return e.unavailable(err)
	}
	return nil
}

// movePart makes the lines from c.first on a part: noted in Redis, durable in
// the blob store, then recorded in Redis, then trimmed there. It can fail
// anywhere: what is not recorded is not a part, is removed, and is moved again
// under another name. False: there is nothing to move.
func (e *Engine) movePart(ctx context.Context, b *bucket, name, gen, dead string, c moveClaim) (bool, error) {
	entries, err := e.oldest(ctx, b, name, gen, c.first)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	last := entries[len(entries)-1]
	p := newPart(gen, c.first, last.next())
	if c, err = e.claimMove(ctx, b, name, gen, dead, p.name()); err != nil || c.is != moveMine || c.first != p.first {
		return err == nil, err // the next look tells
	}
	body, info, err := e.pack(entries, p.first)
	if err != nil {
		return false, err
	}
	if err := e.config.Store.Put(ctx, p.id, body, info); err != nil {
		return false, err
	}
	recents := parseRecents(c.recent)
	for _, x := range entries {
		if x.sum != 0 {
			recents = append(recents, recent{x.sum, x.next() - x.span, x.span})
		}
	}
	a, err := e.call(ctx, e.scripts.moved, b.root, name, e.now(), e.node, gen,
		itoa(p.first), itoa(p.next), p.name(), itoa(last.cost), recentsText(recents))
	if err != nil {
		return false, err // it may be recorded: the next claim tells
	}
	if a.int(0) == 0 {
		return true, e.dropPart(ctx, b, name, gen, p.name())
	}
	return true, nil
}

// oldest reads as many of the entries from first on as make a part. The newest
// entry of a stream stays in Redis: appends build on it.
func (e *Engine) oldest(ctx context.Context, b *bucket, name, gen string, first int64) ([]entry, error) {
	most := min(max(e.config.StreamMemory/4, 1), maxPart)
	var all []entry
	for size := int64(0); size < most; {
		page, err := e.fetch(ctx, b, name, gen, first-1, firstFetch)
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			size += int64(len(x.data))
		}
		all = append(all, page...)
		if len(page) <= 1 || page[len(page)-1].end() {
			break
		}
		first = page[len(page)-1].next()
	}
	return all[:max(len(all)-1, 0)], nil
}

// pack makes the blob of a part that begins with the sequence next.
func (e *Engine) pack(entries []entry, next int64) (*bytes.Buffer, logs.BlobInfo, error) {
	var out bytes.Buffer
	w := e.codec.NewWriter(&out)
	for _, x := range entries {
		found := []*logs.Batch{x.batch()}
		if x.first > next { // lost, and not noted
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
