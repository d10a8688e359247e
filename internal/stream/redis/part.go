package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

const (
	// maxPart bounds the lines of one part, in bytes before compression: what
	// a move holds in memory.
	maxPart = 4 << 20
	// readAhead is how much of a part one read takes, since each is a few
	// requests to the blob store.
	readAhead = 1 << 20
	// Retries of a move, as those of an archive.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// part is a run of a stream's lines in the blob store: an archive of these.
type part struct {
	first, next int64
	id          logservice.ID
}

// newPart names a part as no other move of the same lines does.
func newPart(gen string, first, next int64) part {
	name := fmt.Sprintf("%d-%d-%s", first, next, token())
	return part{first, next, logservice.ID{Account: stored(gen).Account, Key: stored(gen).Key + "/" + logservice.Key(name)}}
}

// name is the last segment of the part's key: what Redis keeps.
func (p part) name() string { return string(p.id.Key[strings.LastIndexByte(string(p.id.Key), '/')+1:]) }

func parsePart(gen, name string) (part, bool) {
	f := strings.Split(name, "-")
	if len(f) != 3 {
		return part{}, false
	}
	first, err := strconv.ParseInt(f[0], 10, 64)
	next, err2 := strconv.ParseInt(f[1], 10, 64)
	id := logservice.ID{Account: stored(gen).Account, Key: stored(gen).Key + "/" + logservice.Key(name)}
	return part{first, next, id}, err == nil && err2 == nil
}

// moves are the generations that this node moves lines of.
type moves struct {
	mu sync.Mutex // guards m
	m  map[string]bool
}

func (v *moves) begin(gen string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.m[gen] {
		return false
	}
	v.m[gen] = true
	return true
}

func (v *moves) end(gen string) {
	v.mu.Lock()
	delete(v.m, gen)
	v.mu.Unlock()
}

// move moves the older lines of a stream to the blob store, in the
// background, unless somebody does already.
func (e *Engine) move(b *bucket, name, gen string) {
	if !b.moves.begin(gen) {
		return
	}
	e.background(func(ctx context.Context) {
		defer b.moves.end(gen)
		retry := backoff.NewExponentialBackOff()
		retry.InitialInterval, retry.MaxInterval = firstRetry, lastRetry
		_, err := backoff.Retry(ctx, func() (struct{}, error) {
			return struct{}{}, e.moveAll(ctx, b, name, gen)
		}, backoff.WithBackOff(retry), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, next time.Duration) {
			e.log.Warn("older lines of a stream cannot be moved from Redis to the blob store", "error", err, "retry_in", next)
		}))
		if err != nil && ctx.Err() == nil {
			e.log.Error("moving lines to the blob store ended", "error", err)
		}
	})
}

// moveAll moves parts until half of what a stream may hold is left.
func (e *Engine) moveAll(ctx context.Context, b *bucket, name, gen string) error {
	dead := ""
	for {
		c, err := e.claimMove(ctx, b, name, gen, dead, "")
		if err != nil {
			return err
		}
		if err := e.dropUnrecorded(ctx, b, name, gen, c.unrecorded); err != nil {
			return err
		}
		switch {
		case c.is == moveHeld && dead == "" && e.dead(ctx, c.holder):
			dead = c.holder
		case c.is == moveGone:
			e.bury(b, name, gen)
			return nil
		case c.is == moveHeld:
			return nil
		case c.inRedis() <= e.config.StreamMemory/2:
			return e.releaseMove(ctx, b, name, gen)
		default:
			moved, err := e.movePart(ctx, b, name, gen, dead, c)
			if err != nil {
				return err
			}
			if !moved { // nothing but the newest entry is left
				return e.releaseMove(ctx, b, name, gen)
			}
		}
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
// and did not record.
func (e *Engine) dropUnrecorded(ctx context.Context, b *bucket, name, gen string, unrecorded map[string]string) error {
	for part, node := range unrecorded {
		if node != e.node && !e.dead(ctx, node) {
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
			if err := w.Append(archive.Run{First: f.First, Count: f.Count, Data: f.Data, Gap: f.Gap}); err != nil {
				return nil, logs.BlobInfo{}, err
			}
		}
		next = x.next()
	}
	sum, err := w.Close()
	return &out, logs.BlobInfo{Archive: true, RawSize: sum.RawSize, Lines: sum.Lines}, err
}

// readPart reads up to readAhead bytes of the lines behind after.
func (e *Engine) readPart(ctx context.Context, p part, after int64) (found []*logs.Batch, err error) {
	blob, err := e.config.Store.Get(ctx, p.id)
	if err != nil {
		return nil, e.partError(err)
	}
	defer blob.Close()
	r, err := e.codec.Open(ctx, blob, blob.Info().Size)
	if err != nil {
		return nil, e.partError(err)
	}
	runs := r.Runs(after)
	defer func() { _ = runs.Close() }() // read only: nothing can be lost
	for size := 0; size < readAhead; {
		run, err := runs.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return found, e.partError(err)
		}
		found = append(found, &logs.Batch{First: run.First, Count: run.Count, Data: run.Data, Gap: run.Gap})
		size += len(run.Data)
	}
	return found, nil
}

// partError: a part that cannot be read is trouble of the moment, as a stream
// is only ever deleted after its archive is made.
func (e *Engine) partError(err error) error {
	// Not wrapped, as in unavailable: a part that is not found is no blob that is not.
	return &logservice.UnavailableError{Cause: fmt.Errorf("part of a live log in the blob store: %v", err)}
}

// bury removes, in the background, what is left of a deleted stream once
// nobody reads it any more.
func (e *Engine) bury(b *bucket, name, gen string) {
	e.background(func(ctx context.Context) {
		if err := e.buryNow(ctx, b, name, gen); err != nil && ctx.Err() == nil {
			e.log.Warn("the rest of a deleted stream cannot be removed yet", "error", err)
		}
	})
}

func (e *Engine) buryNow(ctx context.Context, b *bucket, name, gen string) error {
	bury := func(done string) (int64, error) {
		args := append([]string{name, e.now(), gen, done}, e.living()...)
		a, err := e.call(ctx, e.scripts.bury, b.root, args...)
		return a.int(0), err
	}
	left, err := bury("0")
	if err == nil && left == buryUnknown {
		if err = e.heartbeat(ctx); err == nil {
			left, err = bury("1")
		}
	}
	if err != nil || left != buryParts {
		return err
	}
	at := stored(gen)
	for entry, err := range e.config.Store.List(ctx, at.Account, at.Key) {
		if err != nil {
			return err
		}
		if err := e.config.Store.Delete(ctx, logservice.ID{Account: at.Account, Key: entry.Key}); err != nil {
			return err
		}
	}
	_, err = bury("2")
	return err
}

// What bury.lua answers, beside 0 for a stream with readers and 2 for one that
// is gone.
const (
	buryParts   = 1
	buryUnknown = 3
)
