package backoff_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harness/log-service/internal/backoff"
)

func TestPausesDoubleUpToTheLongestAndAreShortenedByUpToHalf(t *testing.T) {
	b := backoff.Backoff{First: 100 * time.Millisecond, Most: time.Second}
	for range 2 {
		for i, most := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			most *= time.Millisecond
			if pause := b.Next(0); pause <= most/2 || pause > most {
				t.Errorf("pause %d is %v, want more than %v and at most %v", i, pause, most/2, most)
			}
		}
		b.Reset()
	}
	if pause := b.Next(time.Minute); pause != time.Minute {
		t.Errorf("the other side asked for a minute, and the pause is %v", pause)
	}
	if pause := new(backoff.Backoff).Next(0); pause != 0 {
		t.Errorf("without pauses, one of %v", pause)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(reason) })
		b := backoff.Backoff{First: time.Hour, Most: time.Hour}
		began := time.Now()
		if err := b.Wait(ctx); !errors.Is(err, reason) || time.Since(began) != time.Second {
			t.Errorf("ended after %v: %v", time.Since(began), err)
		}
		if err := backoff.Sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour+time.Second {
			t.Errorf("ended after %v: %v", time.Since(began), err)
		}
	})
}
