package server

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The steps of an orderly stop, and when each must have ended, counted from
// the stop's beginning: a disk or a backend that never answers must not hold
// it up past config.StopTimeout. A step that takes longer is left as it is.
const (
	requestsUntil    = 12 * time.Second // config.Config.StopDelay included
	backgroundUntil  = 19 * time.Second // see logs.Service.Run, which wants 10 s
	connectionsUntil = 20 * time.Second
	engineUntil      = 22 * time.Second
	storeUntil       = 24 * time.Second
	listenersUntil   = 24500 * time.Millisecond
)

// stop is an orderly stop, or an immediate one, whose steps are bounded.
type stop struct {
	mu    sync.Mutex // guards all
	begun time.Time  // zero: not yet
	left  []string   // steps that had not ended in time
}

// begin starts the clock, once.
func (s *stop) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
}

// step runs f, and returns at the latest at the time that until says, and
// then with no error: what is left is for unfinished to tell.
func (s *stop) step(what string, until time.Duration, f func() error) error {
	s.begin()
	ended := make(chan error, 1)
	go func() { ended <- f() }() // where it hangs it ends with the process
	t := time.NewTimer(time.Until(s.begun.Add(until)))
	defer t.Stop()
	select {
	case err := <-ended:
		return wrap(what, err)
	case <-t.C:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left = append(s.left, what)
		return nil
	}
}

// unfinished is an error that names the steps that were left; nil: none.
func (s *stop) unfinished() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.left) == 0 {
		return nil
	}
	return &UnfinishedError{Left: s.left}
}

// UnfinishedError says that a stop took as long as it may and left steps as
// they were, because a disk or a backend did not answer. What was acknowledged
// is durable all the same, and the next start does the rest.
type UnfinishedError struct{ Left []string }

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("stopped without an end of: %s (a disk or a backend does not answer; what was acknowledged is safe)", strings.Join(e.Left, ", "))
}

// Close lets everything go at once: requests in flight are cut. What was
// acknowledged stays durable. Serve closes by itself; Close is for a server
// that was never served. Closing again returns the first outcome.
func (s *Server) Close() error {
	s.closed.Do(func() {
		s.stop.begin()
		errs := []error{s.stop.step("connections", connectionsUntil, s.closeListeners)}
		if s.engine != nil {
			errs = append(errs, s.stop.step("live streams", engineUntil, s.engine.Stop))
		}
		if s.store != nil {
			errs = append(errs, s.stop.step("blob store", storeUntil, s.store.Close))
		}
		err := s.stop.unfinished()
		if s.data != nil && err == nil {
			// Else the folder stays locked until the process is gone: what hangs
			// in it may still be written.
			errs = append(errs, s.data.Close())
		}
		s.closeErr = errors.Join(append(errs, err)...)
	})
	return s.closeErr
}
