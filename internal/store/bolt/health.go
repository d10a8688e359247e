package bolt

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	logservice "github.com/harness/log-service"
)

const (
	// maintenancePause is the pause between two runs of the maintenance, and
	// between two attempts to recover the catalog.
	maintenancePause = time.Second
	// hangTime is how long a disk operation may take before Check reports it:
	// less than clients wait for a response.
	hangTime = 10 * time.Second
)

// Check returns what is wrong with the store; see logs.Checker. It does not
// access the disk and returns at once: while something is wrong, the
// maintenance goroutine tries a write every second. Paths are only in the log.
func (s *Store) Check(context.Context) error {
	var why error
	f, trouble := s.failed.Load(), s.writeError.Load()
	took := s.watch.oldest()
	switch {
	case f == nil && took <= hangTime && trouble == nil:
		return nil
	case took > hangTime:
		why = fmt.Errorf("the disk of the blob store has not answered for %d s", int(took.Seconds()))
	case f != nil && f.damaged:
		why = errors.New("the catalog of the blob store is damaged and is being rebuilt")
	case trouble != nil && isFull(*trouble), f != nil && isFull(f.err):
		why = fmt.Errorf("the disk of the blob store is full: %w", syscall.ENOSPC)
	case f != nil && f.starting:
		why = errors.New("the catalog of the blob store could not be opened yet")
	case f != nil:
		why = errors.New("the catalog of the blob store is out of use after a failed sync")
	default:
		why = errors.New("a write of the blob store failed")
	}
	return &logservice.UnavailableError{Cause: why}
}

// maintain is the goroutine for work that can wait. Close stops it and waits
// for it.
func (s *Store) maintain() {
	defer close(s.maintenanceDone)
	swept := s.removeUnreferenced()
	s.wakeRemoveLegacy() // for what the last process left
	tick := time.NewTicker(s.pause)
	defer tick.Stop()
	_ = s.watch.do(s.keepReserve)
	s.probe()
	for {
		select {
		case <-s.legacyGarbage:
			if err := s.removeLegacy(context.Background()); err != nil {
				s.log.Warn("removing deleted blobs waits", "file", s.path, "error", err)
			}
		case <-tick.C:
			if s.writeError.Load() != nil || !s.reserved.Load() {
				s.probe()
			}
			swept = swept || s.removeUnreferenced()
			s.punchHoles()
		case <-s.stop:
			return
		}
	}
}
