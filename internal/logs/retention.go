package logs

import (
	"context"
	"time"
)

// maxExpireInterval is the longest time between two searches for old logs.
const maxExpireInterval = time.Hour

// expire deletes stored logs that are older than the retention, until ctx
// ends. Searches are a 24th of the retention apart, at most an hour, and the
// first comes after as long.
func (s *Service) expire(ctx context.Context) {
	store, ok := s.store.(Expirer)
	if !ok || s.keep <= 0 {
		return
	}
	t := time.NewTicker(min(max(s.keep/24, time.Millisecond), maxExpireInterval))
	defer t.Stop()
	begun := time.Now()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		n, err := store.Expire(ctx, earlier(begun, time.Since(begun), time.Now()).Add(-s.keep))
		s.metrics.expired.Add(float64(n))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("deleting old logs failed, it is tried again", "error", err)
		case n > 0:
			s.log.Info("deleted old logs", "logs", n, "older_than", s.keep)
		}
	}
}

// earlier is the time by the clock, or by what has passed since the clock
// said begun where that is less: a clock that jumps ahead must not delete
// everything.
func earlier(begun time.Time, passed time.Duration, clock time.Time) time.Time {
	if counted := begun.Round(0).Add(passed); counted.Before(clock) {
		return counted
	}
	return clock.Round(0)
}
