package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// maxEntries bounds what one read takes of each stream.
	maxEntries = 32
	// readBlock is how long a read waits in Redis before it is made anew.
	// Nothing depends on it but how soon a connection is given up whose other
	// end is gone without a word.
	readBlock = 10 * time.Second
	// wakeTTL lets the wake-up stream of a node go that died.
	wakeTTL = time.Hour
	// Retries of a read.
	firstReread = 50 * time.Millisecond
	lastReread  = 2 * time.Second
	// maxResync bounds the calls at once that look where streams stand.
	maxResync = 16
)

// change is called with mu held when there are other followers.
func (b *bucket) change() {
	b.changed = true
	poke(b.work)
	if b.reading != nil {
		poke(b.wakes)
	}
}

// wake wakes the read that waits in Redis, through Redis: its own stream is
// among those that are read.
func (b *bucket) wake() {
	for {
		select {
		case <-b.e.running.Done():
			return
		case <-b.wakes:
		}
		b.mu.Lock()
		needed := b.reading != nil && b.changed
		if needed {
			b.woken++
		}
		id, cancel := b.woken, b.reading
		b.mu.Unlock()
		if !needed {
			continue
		}
		if err := b.sendWake(id); err != nil {
			cancel() // Redis is away: the reader sees to it
		}
	}
}

func (b *bucket) wakeKey() string { return b.root + "wake:" + b.e.node }

func (b *bucket) sendWake(id int64) error {
	ctx, cancel := context.WithTimeout(b.e.running, callTimeout)
	defer cancel()
	c := b.e.client
	for _, r := range c.DoMulti(ctx,
		c.B().Xadd().Key(b.wakeKey()).Maxlen().Threshold("1").Id(itoa(id)+"-0").FieldValue().FieldValue("w", "").Build(),
		c.B().Expire().Key(b.wakeKey()).Seconds(int64(wakeTTL.Seconds())).Build()) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}

// cancelRead ends the read that waits in Redis, with its connection.
func (b *bucket) cancelRead() {
	b.mu.Lock()
	cancel := b.reading
	b.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// read follows the streams of the bucket that have cursors, until the engine
// stops. Nothing is read while there are none.
func (b *bucket) read() {
	var pause time.Duration
	for b.e.running.Err() == nil {
		err := b.readOnce()
		if err == nil {
			pause = 0
			continue
		}
		if b.e.running.Err() != nil {
			return
		}
		if pause == 0 {
			b.e.log.Warn("following streams in Redis was interrupted", "error", err)
		}
		pause = min(max(2*pause, firstReread), lastReread)
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-b.e.running.Done():
			return
		}
		for b.e.running.Err() == nil {
			if err := b.resync(); err == nil {
				break
			}
			select {
			case <-time.After(pause/2 + rand.N(pause)):
			case <-b.e.running.Done():
			}
			pause = min(2*pause, lastReread)
		}
	}
}

// readOnce waits for followers, and then for what comes for them.
func (b *bucket) readOnce() error {
	c, release := b.e.client.Dedicate()
	defer release()
	followers, woken := b.begun(c.Close)
	if len(followers) == 0 {
		select {
		case <-b.work:
		case <-b.e.running.Done():
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(b.e.running, readBlock+callTimeout)
	defer cancel()
	keys, ids := []string{b.wakeKey()}, []string{itoa(woken) + "-0"}
	byKey := make(map[string]*follower, len(followers))
	for _, f := range followers {
		key := b.key("d", f.gen, f.name)
		byKey[key] = f
		keys, ids = append(keys, key), append(ids, itoa(f.pos-1)+lastID)
	}
	found, err := streamsOf(c.Do(ctx, c.B().Xread().Count(maxEntries).Block(readBlock.Milliseconds()).
		Streams().Key(keys...).Id(ids...).Build()))
	b.mu.Lock()
	b.reading = nil
	b.mu.Unlock()
	if err == nil && len(found) > 0 {
		err = b.kept(ctx, c)
	}
	if now := time.Now(); err == nil && now.Sub(b.verified) > readBlock {
		b.verified = now
		err = b.verify(ctx, followers)
	}
	if err != nil {
		c.Close()
		return b.e.unavailable(err)
	}
	for key, entries := range found {
		if f := byKey[key]; f != nil {
			f.take(parseEntries(entries))
		}
	}
	b.e.memory.Shrink()
	return nil
}

// verify returns an error where keys of followed streams are gone: a read would
// wait for them for ever. Another program removed them, or a Redis that evicts,
// or they are of a stream that was deleted, which readers may read to its end.
func (b *bucket) verify(ctx context.Context, followers []*follower) error {
	keys := make([]string, 0, 2*len(followers))
	for _, f := range followers {
		keys = append(keys, b.root+"s:"+f.name, b.key("d", f.gen, f.name))
	}
	n, err := b.e.client.Do(ctx, b.e.client.B().Exists().Key(keys...).Build()).AsInt64()
	if err == nil && n < int64(len(keys)) {
		err = errors.New("a followed stream was deleted or is missing")
	}
	return err
}

// kept waits until replicas have what was just read, where they must have what
// is acknowledged: otherwise a fail-over could take back what readers saw. WAIT
// is about the writes of its connection, so something is written.
func (b *bucket) kept(ctx context.Context, c rueidis.DedicatedClient) error {
	if b.e.config.Replicas == 0 {
		return nil
	}
	if _, err := b.e.measured(ctx, b.e.scripts.kept, c, b.root, []string{"", b.e.now(), b.e.node}); err != nil {
		return err
	}
	return b.e.awaitReplicas(ctx, c)
}

// begun returns what is to be read now. From here on a change wakes the read.
func (b *bucket) begun(cancel func()) (followers []*follower, woken int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed = false
	for f := range b.followers {
		if !f.done {
			followers = append(followers, f)
		}
	}
	if len(followers) > 0 {
		b.reading = cancel
		if b.e.running.Err() != nil {
			return nil, 0
		}
	}
	return followers, b.woken
}

// take takes in what the reader read.
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

// lose ends the cursors of a stream that Redis has lost: their readers find
// what is archived, or that nothing is.
func (f *follower) lose(err error) {
	f.done = true
	f.fail(err)
}

// resync looks where the followed streams stand after Redis was away. Streams
// that are gone end their cursors, whose readers find the archive.
func (b *bucket) resync() error {
	b.mu.Lock()
	var all []*follower
	for f := range b.followers {
		if !f.done {
			all = append(all, f)
		}
	}
	b.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(maxResync)
	for _, f := range all {
		g.Go(func() error {
			a, err := b.e.follow(b.e.running, b.root, f.name, b.e.now(), f.id, f.gen, f.gen)
			switch {
			case isWrongType(err): // it would keep all others of the bucket from being read
				f.lose(err)
			case err != nil:
				return err
			case a.int(0) == 0:
				f.lose(&logservice.UnavailableError{Cause: errors.New("redis: the stream is gone")})
			case a.int(0) == 1:
				f.add(nil, a.int(2), false) // the end is in the stream
				b.recount(f)
			}
			return nil
		})
	}
	return g.Wait()
}
