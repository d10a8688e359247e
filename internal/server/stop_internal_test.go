package server

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harness/log-service/internal/config"
)

func TestAStepThatHangsIsAbandonedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		hangs := func() error { <-never; return nil }
		broken := errors.New("broken")
		var s stop
		s.begin()
		begun := time.Now()
		for _, x := range []struct {
			what  string
			until time.Duration
			f     func() error
			err   error
		}{
			{"requests", requestsUntil, hangs, nil},
			{"background work", backgroundUntil, func() error { return nil }, nil},
			{"live streams", engineUntil, func() error { return broken }, broken},
			{"blob store", storeUntil, hangs, nil},
			{"listeners", listenersUntil, hangs, nil},
		} {
			if err := s.step(x.what, x.until, x.f); !errors.Is(err, x.err) {
				t.Errorf("%s: %v, want %v", x.what, err, x.err)
			}
		}
		if took := time.Since(begun); took > config.StopTimeout {
			t.Errorf("the steps took %v", took)
		}
		var u *UnfinishedError
		if !errors.As(s.unfinished(), &u) || !slices.Equal(u.Left, []string{"requests", "blob store", "listeners"}) {
			t.Errorf("left: %v", s.unfinished())
		}
		close(never)
	})
}
