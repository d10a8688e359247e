package server

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The steps of a graceful shutdown, with the time by which each must have ended,
// counted from its start. A disk or backend that never responds must not delay it
// past config.StopTimeout. A step that takes longer is abandoned.
const (
	requestsUntil    = 12 * time.Second // includes config.Config.StopDelay
	backgroundUntil  = 19 * time.Second // see service.Service.Run, which wants 10 s
	connectionsUntil = 20 * time.Second
	engineUntil      = 22 * time.Second
	storeUntil       = 24 * time.Second
	listenersUntil   = 24500 * time.Millisecond
)

// stop is a shutdown, graceful or immediate, with time limits for its steps.
type stop struct {
	mu    sync.Mutex // guards the fields below
	begun time.Time  // zero before it starts
	left  []string   // steps that did not end in time
}

// begin starts the clock on its first call.
func (s *stop) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
}

// step runs f but returns by the time until at the latest, then with a nil error:
// unfinished reports what was left.
func (s *stop) step(what string, until time.Duration, f func() error) error {
	s.begin()
	ended := make(chan error, 1)
	go func() { ended <- f() }() // if it hangs, it ends with the process
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

// unfinished returns an error that names the abandoned steps, or nil.
func (s *stop) unfinished() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.left) == 0 {
		return nil
	}
	return &UnfinishedError{Left: s.left}
}

// UnfinishedError reports that a shutdown reached its time limit and abandoned
// steps because a disk or backend did not respond. Everything acknowledged is
// durable nevertheless, and the next start completes the rest.
type UnfinishedError struct{ Left []string }

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("stopped without an end of: %s (a disk or a backend does not answer; what was acknowledged is safe)", strings.Join(e.Left, ", "))
}

// Close releases everything at once and cuts off requests in progress. Everything
// acknowledged remains durable. Serve calls Close; call it directly only for a
// server that was never served. Further calls return the first result.
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
			// Otherwise the directory stays locked until the process exits: what
			// hangs may still be writing to it.
			errs = append(errs, s.data.Close())
		}
		s.closeErr = errors.Join(append(errs, err)...)
	})
	return s.closeErr
}
