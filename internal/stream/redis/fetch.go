package redis

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/rueidis"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Bounds of the entries that one read of old lines takes, unless it is told
// how large they are about: some MB at the most, whatever their size.
const (
	firstFetch = 16
	maxFetch   = 256
)

// fetch reads the entry of the line behind after, where Redis has it, and up
// to count of those that follow. Lines that are missing between them are in a
// part, or lost.
func (e *Engine) fetch(ctx context.Context, b *bucket, name, gen string, after, count int64) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, key := e.client.B(), b.key("d", gen, name)
	var entries []entry
	for _, r := range e.client.DoMulti(ctx,
		c.Xrevrange().Key(key).End(itoa(after+1)).Start("-").Count(1).Build(),
		c.Xrange().Key(key).Start(itoa(after+2)).End("+").Count(max(count, 1)).Build(),
	) {
		a, err := r.ToArray()
		if err != nil && !rueidis.IsRedisNil(err) {
			e.metrics.failures.Inc()
			return nil, e.unavailable(err)
		}
		for _, x := range parseEntries(a) {
			if x.next() > after+1 || x.first > after || x.end() {
				entries = append(entries, x)
			}
		}
	}
	return entries, nil
}

// partOf returns the part that may hold the line behind after.
func (e *Engine) partOf(ctx context.Context, b *bucket, name, gen string, after int64) (part, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := e.client.Do(ctx, e.client.B().Zrevrangebyscore().Key(b.key("p", gen, name)).
		Max(itoa(after+1)).Min("-inf").Limit(0, 1).Build()).AsStrSlice()
	if err != nil && !rueidis.IsRedisNil(err) {
		e.metrics.failures.Inc()
		return part{}, false, e.unavailable(err)
	}
	if len(found) == 0 {
		return part{}, false, nil
	}
	p, ok := parsePart(gen, found[0])
	return p, ok && p.next > after+1, nil
}

// load reads lines behind after from Redis or the blob store; cursors that
// want the same wait for one of them. No batches and no error: look again.
func (f *follower) load(ctx context.Context, after int64) ([]*logs.Batch, error) {
	select {
	case f.loading <- struct{}{}:
		defer func() { <-f.loading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	found := f.after(nil, after, nextBytes)
	f.mu.Unlock()
	if len(found) > 0 {
		return found, nil
	}
	e := f.b.e
	entries, err := e.fetch(ctx, f.b, f.name, f.gen, after, f.fetches.Load())
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 || entries[0].first > after+1 {
		p, ok, err := e.partOf(ctx, f.b, f.name, f.gen, after)
		if err != nil {
			return nil, err
		}
		if ok {
			return f.loadPart(ctx, p, after)
		}
	}
	if len(entries) == 0 {
		return nil, &logservice.UnavailableError{Cause: errors.New("redis: the lines of a stream are gone")}
	}
	if e.config.Replicas > 0 { // those at the end may be on no replica yet
		end := f.known()
		entries = slices.DeleteFunc(entries, func(x entry) bool { return x.first >= end && x.first > after+1 })
	}
	return f.loaded(entries, after), nil
}

func (f *follower) loadPart(ctx context.Context, p part, after int64) ([]*logs.Batch, error) {
	found, err := f.b.e.readPart(ctx, p, after)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		found, err = f.lostPart(ctx, p, after, err)
	}
	if err != nil && len(found) == 0 {
		return nil, err
	}
	f.add(found, 0, false)
	return first(found, nextBytes), nil
}

// lostPart makes a gap of a part that is not in the store. It was deleted there
// by somebody else, or with the stream, which an old snapshot of Redis brought
// back. Parts of a stream that is deleted are removed while a hung node reads.
func (f *follower) lostPart(ctx context.Context, p part, after int64, cause error) ([]*logs.Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	e := f.b.e
	gen, err := e.client.Do(ctx, e.client.B().Hget().Key(f.b.root+"s:"+f.name).Field("g").Build()).ToString()
	if err != nil || gen != f.gen {
		return nil, e.partError(cause)
	}
	e.log.Error("lines of a live log are no longer in the blob store; readers get a gap", "part", p.id, "lines", p.next-after-1)
	return []*logs.Batch{logs.NewGap(after+1, p.next-after-1)}, nil
}

// loaded takes in entries, and returns what of them is behind after.
func (f *follower) loaded(entries []entry, after int64) []*logs.Batch {
	size := 0
	for i, x := range entries {
		if i > 0 && x.first != entries[i-1].next() {
			entries = entries[:i] // what follows is asked for by itself
			break
		}
		size += len(x.data) + 1
	}
	f.fetches.Store(min(max(int64(nextBytes*len(entries)/size), 2), maxFetch))
	last := entries[len(entries)-1]
	found := toBatches(entries)
	from := entries[0].first
	if entries[0].end() { // this node may have seen more, which is lost
		from = max(from, f.known())
	}
	if from > after+1 {
		found = append([]*logs.Batch{logs.NewGap(after+1, from-after-1)}, found...)
	}
	f.add(found, last.next(), last.end())
	for len(found) > 0 && found[0].Last() <= after { // of an entry that is several batches
		found = found[1:]
	}
	if len(found) > 0 && found[0].First <= after {
		found[0] = found[0].From(after + 1)
	}
	return first(found, nextBytes)
}

// first is as many of found as one Next returns.
func first(found []*logs.Batch, limit int) []*logs.Batch {
	n := 0
	for i, b := range found {
		if n += len(b.Data); n >= limit {
			return found[:i+1]
		}
	}
	return found
}
