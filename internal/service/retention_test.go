package service_test

import (
	"context"
	"iter"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// expirer is a store that records what it was asked to delete.
type expirer struct {
	logs.Store
	before time.Time // the latest; zero: nothing was asked
}

func (*expirer) List(context.Context, string, logservice.Key) iter.Seq2[logs.BlobEntry, error] {
	return func(func(logs.BlobEntry, error) bool) {}
}

func (e *expirer) Expire(_ context.Context, before time.Time) (int, error) {
	if before.After(e.before) {
		e.before = before
	}
	return 0, nil
}

// clockFile is a ClockStore in memory.
type clockFile struct{ last service.Clock }

func (c *clockFile) LoadClock() (service.Clock, error)  { return c.last, nil }
func (c *clockFile) SaveClock(last service.Clock) error { c.last = last; return nil }

type noStreams struct{ logs.Streams }

func (noStreams) Due(context.Context) ([]logs.Info, error)               { return nil, nil }
func (noStreams) List(context.Context, logs.Filter) ([]logs.Info, error) { return nil, nil }

const (
	day  = 24 * time.Hour
	keep = 30 * day
)

// serve lets a service run for a time over a system's clock that is ahead, and
// returns what was older at the end than what it deletes.
func serve(t *testing.T, c *clockFile, ahead, length time.Duration) (deletesBefore time.Time) {
	t.Helper()
	store := &expirer{}
	s := service.New(service.Config{
		Streams: noStreams{}, Store: store, Logger: slog.New(slog.DiscardHandler), MaintenanceInterval: time.Hour, Retention: keep,
		Clock: c, Now: func() time.Time { return time.Now().Add(ahead) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	time.Sleep(length) // of the bubble
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return store.before
}

func TestRetentionKeepsItsTimeWhileTheClockIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clockFile{}
		serve(t, c, 0, keep)
		for range 3 { // restarts, some time apart
			time.Sleep(12 * time.Hour)
			got := serve(t, c, 0, 5*day)
			if late := time.Now().Add(-keep).Sub(got); late < 0 || late > 2*time.Hour {
				t.Errorf("deleted is what is older than %v, %v late", got, late)
			}
		}
		// It was off for a week: it catches up within a week.
		time.Sleep(7 * day)
		got := serve(t, c, 0, 8*day)
		if late := time.Now().Add(-keep).Sub(got); late < 0 || late > 2*time.Hour {
			t.Errorf("after a week off, deleted is what is older than %v, %v late", got, late)
		}
	})
}

func TestAStartWithAClockAheadDeletesNoMoreThanADaysWorth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The very first start: nothing at all.
		if got := serve(t, &clockFile{}, 365*day, 2*time.Hour); got.After(time.Now().Add(365*day - 2*keep + day)) {
			t.Errorf("a first start with a clock a year ahead deletes what is older than %v", got)
		}
		for _, ahead := range []time.Duration{365 * day, 10 * 365 * day} {
			c := &clockFile{}
			serve(t, c, 0, keep+day)
			got := serve(t, c, ahead, 6*time.Hour)
			if early := got.Sub(time.Now().Add(-keep)); early > day+12*time.Hour {
				t.Errorf("a clock %v ahead: deleted %v early", ahead, early)
			}
			// The clock is right again: all is as before, but for that day.
			got = serve(t, c, 0, 2*day)
			if off := got.Sub(time.Now().Add(-keep)); off > 0 || off < -2*time.Hour {
				t.Errorf("after a clock %v ahead: %v off", ahead, off)
			}
		}
	})
}

func TestRestartsWithAClockAheadAddNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clockFile{}
		serve(t, c, 0, keep+day)
		began := time.Now()
		var got time.Time
		for range 20 {
			got = serve(t, c, 365*day, 2*time.Hour)
		}
		// A day, and as much as the clock has run.
		if early, most := got.Sub(time.Now().Add(-keep)), day+time.Since(began); early > most {
			t.Errorf("twenty restarts: deleted %v early, at most %v", early, most)
		}
	})
}

// Each run but the last ends before its first search.
func TestRestartsWithARightClockStayOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clockFile{}
		serve(t, c, 0, keep+day)
		for range 40 {
			time.Sleep(25 * time.Minute)
			serve(t, c, 0, 30*time.Minute)
		}
		got := serve(t, c, 0, 2*time.Hour)
		if late := time.Now().Add(-keep).Sub(got); late < 0 || late > 2*time.Hour {
			t.Errorf("deleted is what is older than %v, %v late", got, late)
		}
	})
}

func TestAClockBehindDeletesNothingEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clockFile{}
		serve(t, c, 0, keep+day)
		if got := serve(t, c, -365*day, 2*day); got.After(time.Now().Add(-365*day - keep)) {
			t.Errorf("a clock that is a year slow deletes what is older than %v", got)
		}
		got := serve(t, c, 0, 2*day)
		if off := got.Sub(time.Now().Add(-keep)); off > 0 || off < -2*time.Hour {
			t.Errorf("once it is right again: %v off", off)
		}
	})
}
