package redis

import (
	"context"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/harness/log-service/internal/stream/batches"
)

// recollect updates the history of t to its newest entry: from the headers of
// newer entries, or of all recent ones, and from the traces of those that are
// in segments by now.
func (r *refresher) recollect(ctx context.Context, t *tail) error {
	if t.history.knows(&t.tailState) {
		return nil
	}
	now := r.members.clock()
	found, known, err := r.headers(ctx, t, now-batches.RecentTime)
	if err != nil {
		return err
	}
	var all []batches.Append
	if !known {
		t.forgetAppends()
		if all, err = r.inSegments(ctx, t, found, now-batches.RecentTime); err != nil {
			return err
		}
	}
	for _, x := range slices.Backward(found) {
		if x.head.sum != 0 {
			all = append(all, appendOf(x.first+x.head.lines, x.head))
		}
	}
	t.recent.Remember(&t.history.recent, now, all...)
	t.history.first, t.history.text = t.first, t.text
	return nil
}

// headers reads the entries of t back to the last one in its history or, if
// that is missing, to the first that is older than since. The newest comes
// first.
func (r *refresher) headers(ctx context.Context, t *tail, since time.Duration) (found []seen, known bool, err error) {
	if h := &t.history; h.text != "" {
		if found, err = r.headersBetween(ctx, t, nil, itoa(h.first), itoa(t.first), since); err != nil {
			return nil, false, err
		}
		if n := len(found); n > 0 && found[n-1].first == h.first && found[n-1].text == h.text {
			return found[:n-1], true, nil
		}
	}
	to := itoa(t.first)
	if n := len(found); n > 0 {
		to = "(" + itoa(found[n-1].first) + "-0"
	}
	found, err = r.headersBetween(ctx, t, found, "-", to, since)
	return found, false, err
}

// headersBetween appends to found entries between two IDs, the newest first, down
// to the first that is older than since.
func (r *refresher) headersBetween(ctx context.Context, t *tail, found []seen, from, to string, since time.Duration) ([]seen, error) {
	for to != "" && len(found) < batches.MaxRecent {
		a, err := r.call(ctx, r.redis.scripts.headers, t.name, r.members.now(), t.gen, from, to, itoa(since.Milliseconds()))
		if err != nil {
			return nil, err
		}
		found, to = append(found, seenOf(a.list(0))...), a.text(1)
	}
	return found, nil
}

// inSegments reads which recent appends are in segments and before the entries
// found, the oldest first.
func (r *refresher) inSegments(ctx context.Context, t *tail, found []seen, since time.Duration) ([]batches.Append, error) {
	before := t.next()
	if n := len(found); n > 0 {
		oldest := found[n-1]
		if oldest.head.begins() || milliseconds(oldest.head.clock) < since {
			return nil, nil // the start of the stream, or of its recent part
		}
		before = oldest.first
	}
	const page = 4
	var traces [][]batches.Append
	for n, from := 0, int64(0); n < batches.MaxRecent; from += page {
		list, err := r.traces(ctx, r.redis.B().Zrevrange().Key(t.key("r")).Start(from).Stop(from+page-1).Build())
		if err != nil {
			return nil, err
		}
		for _, x := range list {
			x = slices.DeleteFunc(x, func(a batches.Append) bool { return a.At < since || a.First+int64(a.Count) > before })
			traces, n = append(traces, x), n+len(x)
		}
		if len(list) < page {
			break
		}
	}
	slices.Reverse(traces)
	return slices.Concat(traces...), nil
}

// isInSegment reports whether an append is in a segment.
func (r *refresher) isInSegment(ctx context.Context, t *tail, x batches.Append) (bool, error) {
	last := itoa(x.First + int64(x.Count) - 1)
	list, err := r.traces(ctx, r.redis.B().Zrevrangebyscore().Key(t.key("r")).Max(last).Min("-inf").Limit(0, 1).Build())
	if err != nil || len(list) == 0 {
		return false, err
	}
	return slices.ContainsFunc(list[0], func(a batches.Append) bool {
		return a.First == x.First && a.Sum == x.Sum && a.Count == x.Count
	}), nil
}

// traces reads the traces of appends in segments, as the command returns them.
func (r *refresher) traces(ctx context.Context, command rueidis.Completed) (all [][]batches.Append, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := r.redis.Do(ctx, command).AsStrSlice()
	if err != nil && !rueidis.IsRedisNil(err) {
		return nil, r.redis.failed(err)
	}
	for _, x := range found {
		all = append(all, parseTrace(x))
	}
	return all, nil
}
