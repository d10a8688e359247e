package bolt

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// bbolt trusts its pages: a damaged one makes it panic, or read where the
// file has no bytes (a fault). guard turns both into errors. It is enough
// here because transactions run bbolt on the calling goroutine, and bbolt
// starts none of its own in what is used here, so that nothing escapes.

// guard runs f and turns a panic in it into an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", logs.ErrDamaged, p)
		}
	}()
	return f()
}

// handle is an open catalogue.
type handle struct {
	db   *bbolt.DB
	file *os.File // that db holds, with its lock
}

// failure is why there is no catalogue. The writer ends it; see recover.go.
type failure struct {
	err      error // for callers: ErrUnavailable
	damaged  bool  // it must be made anew; otherwise opening it again will do
	readable bool  // what can be read of it still is
	poisoned bool  // a panic may have left bbolt's locks taken: its Close would hang
	attempts int   // to recover that failed
	next     time.Time
}

// fail takes the catalogue out of use.
func (s *Store) fail(cause error, f failure) error {
	f.err = &logservice.UnavailableError{Cause: fmt.Errorf("%s is out of use: %w", s.path, cause)}
	if !s.failed.CompareAndSwap(nil, &f) {
		return s.failed.Load().err
	}
	s.log.Error("the catalogue of the blob store is out of use; trying to recover", "file", s.path, "error", cause)
	return f.err
}

// view runs fn in a read transaction. What fn keeps it must copy.
func (s *Store) view(fn func(*bbolt.Tx) error) error {
	if f := s.failed.Load(); f != nil && !f.readable {
		return f.err
	}
	s.reading.Add(1)
	defer s.reading.Add(-1)
	var tx *bbolt.Tx
	err := s.begin(&tx, false)
	if err != nil {
		return err
	}
	var own error
	err = guard(func() error {
		defer func() { _ = tx.Rollback() }()
		own = fn(tx)
		return nil
	})
	if err != nil { // other pages can be read on while a new catalogue is made
		_ = s.fail(err, failure{damaged: true, readable: true})
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return s.alarmIf(own)
}

// update runs fn in a write transaction and commits it. inFn reports that fn
// itself failed and that nothing was tried on the file. Only the writer calls
// it.
func (s *Store) update(fn func(*bbolt.Tx) error) (inFn bool, err error) {
	if f := s.failed.Load(); f != nil {
		return false, f.err
	}
	var tx *bbolt.Tx
	if err := s.begin(&tx, true); err != nil {
		return false, err
	}
	if err = guard(func() error { return fn(tx) }); err != nil {
		if back := guard(tx.Rollback); back != nil {
			return false, s.fail(back, failure{damaged: true, poisoned: true})
		}
		return true, fmt.Errorf("%s: %w", s.path, err)
	}
	return false, s.commitFailed(guard(tx.Commit))
}

func (s *Store) begin(tx **bbolt.Tx, writable bool) error {
	err := bolterrors.ErrDatabaseNotOpen
	if h := s.db.Load(); h != nil {
		err = guard(func() (err error) {
			*tx, err = h.db.Begin(writable)
			return err
		})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, logs.ErrDamaged):
		return s.fail(err, failure{damaged: true, poisoned: true})
	case !errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if f := s.failed.Load(); f != nil {
		return f.err
	}
	return errClosed
}

// commitFailed sorts what a commit answered; nil is nil.
func (s *Store) commitFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, logs.ErrDamaged):
		return s.fail(err, failure{damaged: true, poisoned: true})
	case isBareErrno(err), strings.HasPrefix(err.Error(), "file sync error"):
		// The bare number comes from fdatasync alone (bbolt writes through
		// os.File, which adds the path). After a failed sync nobody knows
		// what the disk holds, so nothing further is built on this handle.
		err = fmt.Errorf("sync failed: %w", err)
		return s.fail(s.writeFailed(err), failure{})
	}
	// A write that failed, mostly for want of space. bbolt writes pages that
	// nothing refers to yet, and forgets them: the next commit may succeed.
	return s.writeFailed(fmt.Errorf("write to %s: %w", s.path, err))
}

// isBareErrno reports whether err is an errno itself, not one wrapped.
func isBareErrno(err error) bool {
	_, ok := err.(syscall.Errno)
	return ok
}
