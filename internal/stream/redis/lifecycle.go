package redis

import (
	"context"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// lifecycle opens, closes and deletes the streams of a bucket.
type lifecycle struct {
	*keyspace
	tails     *tails
	followers *followers
}

// open opens a stream; see logs.Streams.
func (l *lifecycle) open(ctx context.Context, name string, o logs.OpenOptions) error {
	ttl := o.TTL
	if ttl <= 0 {
		ttl = logservice.DefaultTTL
	}
	ttl = min(ttl, logservice.MaxTTL)
	truncate, gen, seen := "0", "", int64(0)
	if o.Truncate {
		// Lines that this node saw and a failover lost belong to an attempt.
		truncate = "1"
		gen, seen = l.seen(name)
	}
	start := header{kind: kindStart, lines: 1, clock: l.members.clock().Milliseconds(), node: l.id()}
	a, err := l.call(ctx, l.redis.scripts.open, name, l.members.now(), token(), itoa(ttl.Milliseconds()), truncate, start.text(),
		itoa(max(o.Attempt, 0)), itoa(max(o.First, 1)), gen, itoa(seen))
	if err != nil {
		return err
	}
	if a.int(0) == 2 {
		return &logservice.UnavailableError{Cause: logservice.Errorf(logservice.ErrUnavailable,
			"the stream was closed and is being archived"), RetryAfter: time.Second}
	}
	if old := l.handle(name, a.text(2)); old.gen != "" {
		old.observedDelete(a.int(3))
		l.followers.ended(name, old.gen, a.int(3))
	}
	if left := l.handle(name, a.text(1)); left.gen != "" {
		left.reap()
	}
	return nil
}

// close ends a stream. The node that closes a stream archives it.
func (l *lifecycle) close(ctx context.Context, name string, how logs.Closing) error {
	// Lines that this node saw and a failover lost are recorded as a gap: no
	// writer will send them again.
	gen, seen := l.seen(name)
	a, err := l.call(ctx, l.redis.scripts.close, name, l.members.now(), l.id(), encodeHow(how), gen, itoa(seen))
	if err != nil {
		return err
	}
	l.tails.forget(name)
	if a.int(0) == 0 {
		return logservice.ErrStreamNotFound
	}
	h := l.handle(name, a.text(1))
	h.observedClose(decodeHow(a.text(3)), a.int(2))
	l.followers.ended(name, h.gen, a.int(2))
	return nil
}

// seen is how far this node saw the stream advance, and in which generation.
func (l *lifecycle) seen(name string) (gen string, next int64) {
	gen, next = l.tails.seen(name)
	f := l.followers.youngest(name)
	switch {
	case f == nil || f.known() <= next && f.gen == gen:
		return gen, next
	case f.gen == gen || gen == "":
		return f.gen, f.known()
	}
	return "", 0 // one of them is outdated
}

// delete deletes a stream: the one of generation gen that claimant has claimed,
// or any if both are empty.
func (l *lifecycle) delete(ctx context.Context, name, gen, claimant string) error {
	a, err := l.call(ctx, l.redis.scripts.delete, name, l.members.now(), gen, claimant)
	if err != nil {
		return err
	}
	l.tails.forget(name)
	if a.int(0) == 0 {
		return logservice.ErrStreamNotFound
	}
	h := l.handle(name, a.text(1))
	h.observedDelete(a.int(3))
	l.followers.ended(name, h.gen, a.int(3))
	if a.int(2) == 1 {
		h.reap()
	}
	return nil
}
