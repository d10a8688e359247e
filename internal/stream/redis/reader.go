package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/backoff"
	"github.com/harness/log-service/internal/logs"
)

const (
	// maxEntries bounds what one read takes of each stream.
	maxEntries = 32
	// readBlock is how long a read blocks in Redis before it is repeated. It
	// only determines how soon a connection with a lost peer is abandoned, and
	// how soon missing keys are noticed.
	readBlock = 10 * time.Second
	// Retries of a read.
	firstReread = 50 * time.Millisecond
	lastReread  = 2 * time.Second
	// maxResync bounds the concurrent calls that ask for the ends of streams.
	maxResync = 16
)

// reader reads new entries for the followers of a bucket, over one connection
// that blocks in Redis. It reads nothing while there are no followers.
type reader struct {
	*followers

	verified time.Time // when the keys of followers were last checked; used by run alone

	mu      sync.Mutex // guards what follows
	cancel  func()     // ends the read that blocks in Redis; nil: none does
	version int64      // of the followers that are being read
	woken   int64      // wake-ups sent

	work chan struct{} // there may be followers
}

func newReader(f *followers) *reader { return &reader{followers: f, work: make(chan struct{}, 1)} }

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	pauses := backoff.Backoff{First: firstReread, Most: lastReread}
	reported := false
	for ctx.Err() == nil {
		err := r.read(ctx)
		if err == nil {
			pauses.Reset()
			reported = false
			continue
		}
		if !reported && ctx.Err() == nil {
			r.log.Warn("following streams in Redis was interrupted", "error", err)
			reported = true
		}
		for pauses.Wait(ctx) == nil && r.resync(ctx) != nil {
		}
	}
}

// read waits for followers, and then for new entries for them.
func (r *reader) read(ctx context.Context) error {
	c, release := r.redis.Dedicate()
	defer release()
	followers, woken := r.begin(ctx, c.Close)
	if len(followers) == 0 {
		select {
		case <-r.work:
		case <-ctx.Done():
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readBlock+callTimeout)
	defer cancel()
	keys, ids := []string{r.wakeKey()}, []string{itoa(woken) + "-0"}
	byKey := make(map[string]*follower, len(followers))
	for _, f := range followers {
		key := f.key("d")
		byKey[key] = f
		keys, ids = append(keys, key), append(ids, itoa(f.pos-1)+lastID)
	}
	found, err := streamsOf(c.Do(ctx, c.B().Xread().Count(maxEntries).Block(readBlock.Milliseconds()).
		Streams().Key(keys...).Id(ids...).Build()))
	r.end()
	if err == nil && len(found) > 0 {
		err = r.awaitReplicated(ctx, c)
	}
	if now := time.Now(); err == nil && now.Sub(r.verified) > readBlock {
		r.verified = now
		err = r.verify(ctx, followers)
	}
	if err != nil {
		c.Close()
		return unavailable(err)
	}
	for key, entries := range found {
		if f := byKey[key]; f != nil {
			f.take(parseEntries(entries))
		}
	}
	r.memory.Shrink()
	return nil
}

// begin returns what is to be read now. From now on a change wakes the read.
func (r *reader) begin(ctx context.Context, cancel func()) (followers []*follower, woken int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, version := r.snapshot()
	for _, f := range all {
		if !f.done {
			followers = append(followers, f)
		}
	}
	r.version = version
	if len(followers) == 0 || ctx.Err() != nil {
		return nil, 0
	}
	r.cancel = cancel
	return followers, r.woken
}

func (r *reader) end() {
	r.mu.Lock()
	r.cancel = nil
	r.mu.Unlock()
}

// interrupt ends the read that blocks in Redis, with its connection.
func (r *reader) interrupt() {
	r.mu.Lock()
	cancel := r.cancel
	r.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// wake wakes the read that blocks in Redis when the followers change, through
// Redis: the read includes a stream of its own. It runs until ctx ends.
func (r *reader) wake(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.changed:
		}
		poke(r.work)
		_, version := r.snapshot()
		r.mu.Lock()
		needed := r.cancel != nil && r.version != version
		if needed {
			r.woken++
		}
		id := r.woken
		r.mu.Unlock()
		if !needed {
			continue
		}
		if err := r.sendWake(ctx, id); err != nil {
			r.interrupt() // Redis is unavailable: run handles it
		}
	}
}

// verify returns an error if keys of followed streams are missing: a read would
// wait for them forever. Another program or eviction removed them, or their
// stream was deleted, which readers may read to its end.
func (r *reader) verify(ctx context.Context, followers []*follower) error {
	keys := make([]string, 0, 2*len(followers))
	for _, f := range followers {
		keys = append(keys, f.meta(), f.key("d"))
	}
	n, err := r.redis.Do(ctx, r.redis.B().Exists().Key(keys...).Build()).AsInt64()
	if err == nil && n < int64(len(keys)) {
		err = errors.New("a followed stream was deleted or is missing")
	}
	return err
}

// awaitReplicated waits until replicas have what was just read, if
// acknowledgements require that: otherwise a failover could take back what
// readers saw. WAIT concerns the writes of its connection, so something is
// written.
func (r *reader) awaitReplicated(ctx context.Context, c rueidis.DedicatedClient) error {
	if r.redis.replicas == 0 {
		return nil
	}
	if _, err := r.redis.measured(ctx, r.redis.scripts.touch, c, r.root, []string{"", r.members.now(), r.id()}); err != nil {
		return err
	}
	return r.redis.awaitReplicas(ctx, c)
}

// take adds what was read.
func (f *follower) take(entries []entry) {
	if len(entries) == 0 {
		return
	}
	last := entries[len(entries)-1]
	var found []*logs.Batch
	for _, b := range toBatches(entries) {
		if b.Next() <= f.pos {
			continue
		}
		if b.First < f.pos {
			b = b.From(f.pos)
		}
		found = append(found, b)
	}
	f.pos = max(f.pos, last.next())
	f.done = last.end()
	f.add(found, last.next(), last.end())
}

// lose ends the cursors of a stream that Redis has lost: their readers find the
// archive, or nothing.
func (f *follower) lose(err error) {
	f.done = true
	f.fail(err)
}

// resync asks for the ends of the followed streams after Redis was unavailable.
// The cursors of deleted streams end, and their readers find the archive.
func (r *reader) resync(ctx context.Context) error {
	all, _ := r.snapshot()
	var g errgroup.Group
	g.SetLimit(maxResync)
	for _, f := range all {
		if f.done {
			continue
		}
		g.Go(func() error {
			a, err := r.tailOf(ctx, f.name, f.id, f.gen, f.gen)
			switch {
			case isWrongType(err): // it would prevent reading all others of the bucket
				f.lose(err)
			case err != nil:
				return err
			case a.int(0) == 0:
				f.lose(&logservice.UnavailableError{Cause: errors.New("redis: the stream is gone")})
			case a.int(0) == 1:
				f.add(nil, a.int(2), false) // the end is in the stream
				r.reportAgain(f)
			}
			return nil
		})
	}
	return g.Wait()
}
