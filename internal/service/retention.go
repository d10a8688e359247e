package service

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/harness/log-service/internal/logs"
)

const (
	// maxExpireInterval is the longest time between two searches for old logs.
	maxExpireInterval = time.Hour
	// maxStartJump bounds Clock.Jump.
	maxStartJump = 24 * time.Hour
)

// retention deletes logs that the store has kept long enough.
type retention struct {
	store   logs.Expirer // nil: the store cannot
	keep    time.Duration
	clock   ClockStore // nil: starts again at every start of the process
	now     func() time.Time
	log     *slog.Logger
	expired prometheus.Counter
}

func newRetention(c Config, m *metrics) *retention {
	store, _ := c.Store.(logs.Expirer)
	return &retention{store: store, keep: c.Retention, clock: c.Clock, now: c.Now, log: c.Logger, expired: m.expired}
}

// run deletes stored logs that are older than the retention, until ctx ends.
// The first search starts after a 24th of the retention, at most an hour, as
// does each later one.
func (r *retention) run(ctx context.Context) {
	if r.store == nil || r.keep <= 0 {
		return
	}
	clock, err := r.startClock()
	if err != nil {
		r.log.Error("old logs are not deleted: cannot read the retention clock", "error", err)
		return
	}
	t := time.NewTicker(min(max(r.keep/24, time.Millisecond), maxExpireInterval))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			clock.now(r.now())
			if err := r.saveClock(clock.Clock); err != nil {
				r.log.Warn("cannot store the retention clock; the next start goes on from its last value", "error", err)
			}
			return
		}
		now := clock.now(r.now())
		if err := r.saveClock(clock.Clock); err != nil {
			r.log.Warn("deleting old logs is postponed: cannot store the retention clock", "error", err)
			continue
		}
		n, err := r.store.Expire(ctx, now.Add(-r.keep))
		r.expired.Add(float64(n))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.log.Warn("deleting old logs failed; retrying", "error", err)
		case n > 0:
			r.log.Info("deleted old logs", "logs", n, "older_than", r.keep)
		}
	}
}

// startClock continues the clock of the last run. If there was none, the
// system's clock cannot be trusted: the retention's clock begins one retention
// earlier, when nothing that this server stores counts as old, and has caught
// up when the first of it does.
func (r *retention) startClock() (*retentionClock, error) {
	wall := r.now().Round(0)
	c := &retentionClock{Clock: Clock{At: wall}, mark: time.Now()}
	if r.clock == nil {
		return c, nil
	}
	saved, err := r.clock.LoadClock()
	switch {
	case err != nil:
		return nil, err
	case saved.At.IsZero():
		c.At = wall.Add(-r.keep)
	default:
		c.Clock = saved.jump(wall)
		if ahead := wall.Sub(c.At); ahead > 0 {
			r.log.Warn("the system clock is far ahead of the last run: deleting old logs is delayed in case that is a mistake",
				"ahead", ahead.Round(time.Second))
		}
	}
	return c, r.saveClock(c.Clock)
}

func (r *retention) saveClock(c Clock) error {
	if r.clock == nil {
		return nil
	}
	return r.clock.SaveClock(c)
}

// retentionClock decides what is old. A system clock that is a year ahead must
// not delete everything, so this clock advances at most twice as fast as real
// time. At a start it may jump by what it lagged behind while it ran, up to a
// day, so restarts add nothing, however many there are.
type retentionClock struct {
	Clock           // At never goes back
	mark  time.Time // when it was At, by the process's own clock
}

// now is the effective time if the system's clock shows wall: the earlier of
// the two.
func (c *retentionClock) now(wall time.Time) time.Time {
	passed := time.Since(c.mark)
	c.mark = c.mark.Add(passed)
	c.At = c.At.Add(passed)
	wall = wall.Round(0)
	followed := min(max(0, wall.Sub(c.At)), passed)
	c.At = c.At.Add(followed)
	c.Jump = min(c.Jump+passed-followed, maxStartJump)
	if wall.Before(c.At) {
		return wall
	}
	return c.At
}

// jump follows a system clock that is ahead at a start.
func (c Clock) jump(wall time.Time) Clock {
	by := max(0, min(wall.Sub(c.At), c.Jump, maxStartJump))
	return Clock{At: c.At.Add(by), Jump: c.Jump - by}
}
