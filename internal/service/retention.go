package service

import (
	"context"
	"time"

	"github.com/harness/log-service/internal/logs"
)

const (
	// maxExpireInterval is the longest time between two searches for old logs.
	maxExpireInterval = time.Hour
	// maxStartJump is how far a start believes a clock that is ahead of what
	// the last run has seen.
	maxStartJump = 24 * time.Hour
)

// ClockStore keeps the retention's clock over restarts.
type ClockStore interface {
	// LoadClock returns what SaveClock was given last; the zero time where
	// that is nothing.
	LoadClock() (time.Time, error)
	// SaveClock returns when t is durable.
	SaveClock(t time.Time) error
}

// expire deletes stored logs that are older than the retention, until ctx
// ends. Searches are a 24th of the retention apart, at most an hour, and the
// first comes after as long.
func (s *Service) expire(ctx context.Context) {
	store, ok := s.store.(logs.Expirer)
	if !ok || s.keep <= 0 {
		return
	}
	clock, err := s.startClock()
	if err != nil {
		s.log.Error("old logs are not deleted: cannot read the retention clock", "error", err)
		return
	}
	t := time.NewTicker(min(max(s.keep/24, time.Millisecond), maxExpireInterval))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		now := clock.now(s.now())
		if err := s.saveClock(clock.at); err != nil {
			s.log.Warn("deleting old logs is postponed: cannot store the retention clock", "error", err)
			continue
		}
		n, err := store.Expire(ctx, now.Add(-s.keep))
		s.metrics.expired.Add(float64(n))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("deleting old logs failed; retrying", "error", err)
		case n > 0:
			s.log.Info("deleted old logs", "logs", n, "older_than", s.keep)
		}
	}
}

// startClock goes on with the clock of the last run. Where there was none,
// nothing says that the system's clock is right: the retention's clock begins
// one retention earlier, where nothing that this server stores is old, and has
// caught up when the first of it is.
func (s *Service) startClock() (*retentionClock, error) {
	wall := s.now().Round(0)
	c := &retentionClock{at: wall, mark: time.Now()}
	if s.clock == nil {
		return c, nil
	}
	saved, err := s.clock.LoadClock()
	switch {
	case err != nil:
		return nil, err
	case saved.IsZero():
		c.at = wall.Add(-s.keep)
	default:
		c.at = saved.Add(min(max(0, wall.Sub(saved)), maxStartJump))
		if ahead := wall.Sub(c.at); ahead > 0 {
			s.log.Warn("the system clock is far ahead of the last run: deleting old logs is delayed in case that is a mistake",
				"ahead", ahead.Round(time.Second))
		}
	}
	return c, s.saveClock(c.at)
}

func (s *Service) saveClock(t time.Time) error {
	if s.clock == nil {
		return nil
	}
	return s.clock.SaveClock(t)
}

// retentionClock says what is old. A system whose clock is a year ahead must
// not delete everything: so it counts the time that passes, and follows a
// clock that is ahead of it by as much again at most, and by a day at a start.
type retentionClock struct {
	at   time.Time // never goes back
	mark time.Time // when it was so, by the process's own clock
}

// now is the time that counts when the system's clock says wall: the earlier
// of the two.
func (c *retentionClock) now(wall time.Time) time.Time {
	passed := time.Since(c.mark)
	c.mark = c.mark.Add(passed)
	c.at = c.at.Add(passed)
	wall = wall.Round(0)
	if ahead := wall.Sub(c.at); ahead > 0 {
		c.at = c.at.Add(min(ahead, passed))
		return c.at
	}
	return wall
}
