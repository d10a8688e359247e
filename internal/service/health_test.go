package service_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// part is an engine or a store that can be asked whether it works.
type part struct {
	logs.Streams
	check func(context.Context) error
}

func (p part) Check(ctx context.Context) error { return p.check(ctx) }

type storePart struct {
	logs.Store
	check func(context.Context) error
}

func (p storePart) Check(ctx context.Context) error { return p.check(ctx) }

func TestAServiceWorksWhileItsPartsDo(t *testing.T) {
	var engine, store error
	s := service.New(service.Config{
		Streams: part{check: func(context.Context) error { return engine }},
		Store:   storePart{check: func(context.Context) error { return store }},
	})
	for _, c := range []struct {
		engine, store error
		want          string // empty: it works
	}{
		{nil, nil, ""},
		{errors.New("the disk is full"), nil, "live logs: the disk is full"},
		{nil, errors.New("a sync failed"), "stored logs: a sync failed"},
		{errors.New("the disk is full"), errors.New("a sync failed"), "live logs: the disk is full\nstored logs: a sync failed"},
		{&logservice.UnavailableError{Cause: &fs.PathError{Op: "write", Path: "/secret", Err: errors.New("no space")}}, nil, "live logs: write: no space"},
		{nil, &os.LinkError{Op: "rename", Old: "/secret", New: "/secret2", Err: errors.New("no space")}, "stored logs: rename: no space"},
		{nil, nil, ""}, // nothing is remembered
	} {
		engine, store = c.engine, c.store
		err := s.Check(t.Context())
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("parts say %v and %v, the service %v", c.engine, c.store, err)
		}
	}
	if err := service.New(service.Config{Streams: struct{ logs.Streams }{}}).Check(t.Context()); err != nil {
		t.Errorf("parts that cannot be asked: %v", err)
	}
}

// A disk in the middle of a write answers nobody, whatever their patience.
func TestAPartThatHangsIsReportedAndAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan error)
		s := service.New(service.Config{Streams: part{check: func(context.Context) error { return <-answer }}})
		begun := time.Now()
		for range 2 {
			err := s.Check(t.Context())
			if !errors.Is(err, logservice.ErrUnavailable) || !strings.Contains(err.Error(), "live logs: no answer for 1s") {
				t.Errorf("a part that hangs: %v", err)
			}
		}
		time.Sleep(time.Minute)
		before := runtime.NumGoroutine()
		for range 100 {
			if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer for 1m1s") {
				t.Errorf("a part that has hung for a minute: %v", err)
			}
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines, %d before a hundred probes", n, before)
		}
		if took := time.Since(begun); took > time.Minute+time.Second {
			t.Errorf("the probes took %v", took-time.Minute)
		}
		answer <- nil
		synctest.Wait()
		go func() { answer <- nil }()
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("a part that works again: %v", err)
		}
	})
}
