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
	a, err := e.claimMove(ctx, b, name, gen)
	if err != nil || a == nil {
		return err
	}
	first, held := a.int(1), a.int(2)
	for held > e.config.StreamMemory/2 {
		next, left, err := e.movePart(ctx, b, name, gen, first)
		if errors.Is(err, errNotMine) {
			return nil
		}
		if err != nil {
			return err
		}
		if next == first { // nothing but the end is left
			break
		}
		first, held = next, left
	}
	_, err = e.call(ctx, e.scripts.moved, b.root, name, e.now(), e.node, gen, "", "", "", "0")
	return err
}

// claimMove returns nil where another node is at it, or the stream is gone.
func (e *Engine) claimMove(ctx context.Context, b *bucket, name, gen string) (answer, error) {
	dead := ""
	for {
		a, err := e.call(ctx, e.scripts.part, b.root, name, e.now(), e.node, gen, dead)
		if err != nil || a.int(0) == 1 {
			return a, err
		}
		if a.int(0) == 0 {
			return nil, nil
		}
		if dead = a.text(1); !e.dead(ctx, dead) {
			return nil, nil
		}
	}
}

// errNotMine ends a move that another node has taken over, or whose stream is
// gone.
var errNotMine = errors.New("the move is not this node's any more")

// movePart makes the lines from first on a part: durable in the blob store,
// then recorded in Redis, then trimmed there. It can fail anywhere: what is
// not recorded is not a part, and is moved again under another name.
func (e *Engine) movePart(ctx context.Context, b *bucket, name, gen string, first int64) (next, held int64, err error) {
	most := min(max(e.config.StreamMemory/4, 1), maxPart)
	_, entries, err := e.fetch(ctx, b, name, gen, first-1, most)
	if err != nil {
		return 0, 0, err
	}
	var out bytes.Buffer
	w := e.codec.NewWriter(&out)
	next, size := first, int64(0)
	for _, x := range entries {
		if x.end {
			break
		}
		batch := x.batch()
		if err := w.Append(archive.Run{First: batch.First, Count: batch.Count, Data: batch.Data, Gap: batch.Gap}); err != nil {
			return 0, 0, err
		}
		next, size = batch.Next(), size+x.held()
	}
	if next == first {
		return first, 0, nil
	}
	sum, err := w.Close()
	if err != nil {
		return 0, 0, err
	}
	p := newPart(gen, first, next)
	info := logs.BlobInfo{Archive: true, RawSize: sum.RawSize, Lines: sum.Lines}
	if err := e.config.Store.Put(ctx, p.id, &out, info); err != nil {
		return 0, 0, err
	}
	a, err := e.call(ctx, e.scripts.moved, b.root, name, e.now(), e.node, gen, itoa(first), itoa(next), p.name(), itoa(size))
	if err != nil {
		return 0, 0, err // it may be recorded, so it stays
	}
	if a.int(0) == 0 {
		return 0, 0, errors.Join(errNotMine, e.config.Store.Delete(ctx, p.id))
	}
	return next, a.int(1), nil
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
