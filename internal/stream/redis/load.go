package redis

import (
	"context"
	"errors"
	"slices"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// nextBytes is approximately how much one Next returns; see package stream.
const nextBytes = 256 << 10

// load reads lines after the sequence after from Redis or the blob store;
// cursors that need the same lines wait for one of them. No batches and no
// error: try again.
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
	entries, err := f.entries(ctx, after, f.fetches.Load())
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 || entries[0].first > after+1 {
		s, ok, err := f.segmentOf(ctx, after)
		if err != nil {
			return nil, err
		}
		if ok {
			return f.loadSegment(ctx, s, after)
		}
	}
	if len(entries) == 0 {
		return nil, &logservice.UnavailableError{Cause: errors.New("redis: the lines of a stream are gone")}
	}
	if f.redis.replicas > 0 { // the last entries may be on no replica yet
		end := f.known()
		entries = slices.DeleteFunc(entries, func(x entry) bool { return x.first >= end && x.first > after+1 })
	}
	return f.loaded(entries, after), nil
}

func (f *follower) loadSegment(ctx context.Context, s segment, after int64) ([]*logs.Batch, error) {
	found, err := f.readSegment(ctx, s, after)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		found, err = f.lostSegment(ctx, s, after, err)
	}
	if err != nil && len(found) == 0 {
		return nil, err
	}
	f.add(found, 0, false)
	return first(found, nextBytes), nil
}

// lostSegment makes a gap of a segment that is not in the store. It was deleted
// by another program, or with the stream, which an old snapshot of Redis
// restored. Segments of a deleted stream may also be removed while a hung node
// reads them.
func (f *follower) lostSegment(ctx context.Context, s segment, after int64, cause error) ([]*logs.Batch, error) {
	if current, err := f.isCurrent(ctx); err != nil || !current {
		return nil, segmentError(cause)
	}
	f.log.Error("lines of a live log are no longer in the blob store; readers get a gap", "segment", s.id, "lines", s.next-after-1)
	return []*logs.Batch{logs.NewGap(after+1, s.next-after-1)}, nil
}

// loaded adds entries, and returns their lines after the sequence after.
func (f *follower) loaded(entries []entry, after int64) []*logs.Batch {
	size := 0
	for i, x := range entries {
		if i > 0 && x.first != entries[i-1].next() {
			entries = entries[:i] // the rest is requested separately
			break
		}
		size += len(x.data) + 1
	}
	f.fetches.Store(min(max(int64(nextBytes*len(entries)/size), 2), maxFetch))
	last := entries[len(entries)-1]
	found := toBatches(entries)
	from := entries[0].first
	if entries[0].end() { // this node may have seen more lines, which are lost
		from = max(from, f.known())
	}
	if from > after+1 {
		found = append([]*logs.Batch{logs.NewGap(after+1, from-after-1)}, found...)
	}
	f.add(found, last.next(), last.end())
	for len(found) > 0 && found[0].Last() <= after { // parts of an entry that is several batches
		found = found[1:]
	}
	if len(found) > 0 && found[0].First <= after {
		found[0] = found[0].From(after + 1)
	}
	return first(found, nextBytes)
}

// first returns as much of found as one Next returns.
func first(found []*logs.Batch, limit int) []*logs.Batch {
	n := 0
	for i, b := range found {
		if n += len(b.Data); n >= limit {
			return found[:i+1]
		}
	}
	return found
}
