package redis

import (
	"context"

	"github.com/redis/rueidis"
)

// Bounds of the entries in one read of old lines, unless their approximate size
// is known: at most some MB, whatever their size.
const (
	firstFetch = 16
	maxFetch   = 256
)

// entries reads the entry of the line after the sequence after, if Redis has
// it, and up to count later ones. Lines that are missing between them are in a
// segment, or lost.
func (h handle) entries(ctx context.Context, after, count int64) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, key := h.redis.B(), h.key("d")
	var found []entry
	for _, r := range h.redis.DoMulti(ctx,
		c.Xrevrange().Key(key).End(itoa(after+1)).Start("-").Count(1).Build(),
		c.Xrange().Key(key).Start(itoa(after+2)).End("+").Count(max(count, 1)).Build(),
	) {
		a, err := r.ToArray()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, h.redis.failed(err)
		}
		for _, x := range parseEntries(a) {
			if x.next() > after+1 || x.first > after || x.end() {
				found = append(found, x)
			}
		}
	}
	return found, nil
}

// segmentOf returns the segment that may hold the line after the sequence after.
func (h handle) segmentOf(ctx context.Context, after int64) (segment, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := h.redis.Do(ctx, h.redis.B().Zrevrangebyscore().Key(h.key("p")).
		Max(itoa(after+1)).Min("-inf").Limit(0, 1).Build()).AsStrSlice()
	if err != nil && !rueidis.IsRedisNil(err) {
		return segment{}, false, h.redis.failed(err)
	}
	if len(found) == 0 {
		return segment{}, false, nil
	}
	s, ok := parseSegment(h.gen, found[0])
	return s, ok && s.next > after+1, nil
}

// isCurrent reports whether the generation has not been deleted.
func (h handle) isCurrent(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	gen, err := h.redis.Do(ctx, h.redis.B().Hget().Key(h.meta()).Field("g").Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return false, h.redis.failed(err)
	}
	return gen == h.gen, nil
}
