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

// bbolt trusts its pages: a damaged one makes it panic, or read beyond the end
// of the file (a fault). guard converts both to errors. That suffices, because
// transactions run bbolt on the calling goroutine and bbolt starts no
// goroutines in the functions used here.

// guard runs f and converts a panic in it to an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", logs.ErrDamaged, p)
		}
	}()
	return f()
}

// handle is an open catalog.
type handle struct {
	db   *bbolt.DB
	file *os.File // the file of db, with its lock
}

// failure is why there is no catalog. The writer recovers from it; see
// recover.go.
type failure struct {
	err      error // for callers: ErrUnavailable
	damaged  bool  // it must be rebuilt
	starting bool  // start has not succeeded yet; otherwise reopening it suffices
	readable bool  // its readable parts are still being read
	poisoned bool  // a panic may have left bbolt's locks locked: its Close would hang
	attempts int   // failed attempts to recover
	next     time.Time
}

// fail takes the catalog out of use.
func (s *Store) fail(cause error, f failure) error {
	f.err = &logservice.UnavailableError{Cause: fmt.Errorf("%s is out of use: %w", s.path, cause)}
	if !s.failed.CompareAndSwap(nil, &f) {
		return s.failed.Load().err
	}
	s.log.Error("the catalog of the blob store is out of use; trying to recover", "file", s.path, "error", cause)
	return f.err
}

// view runs fn in a read transaction. fn must copy what it keeps.
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
	if err != nil { // other pages can still be read during the rebuild
		_ = s.fail(err, failure{damaged: true, readable: true})
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return s.alarmIf(own)
}

// update runs fn in a write transaction and commits it. inFn reports that fn
// itself failed, so nothing was written. Only the writer calls it.
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

// commitFailed classifies the error of a commit; nil stays nil.
func (s *Store) commitFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, logs.ErrDamaged):
		return s.fail(err, failure{damaged: true, poisoned: true})
	case isBareErrno(err), strings.HasPrefix(err.Error(), "file sync error"):
		// The bare errno can only come from fdatasync (bbolt writes through
		// os.File, which adds the path). After a failed sync the contents of
		// the disk are unknown, so this handle is not used anymore.
		err = fmt.Errorf("sync failed: %w", err)
		return s.fail(s.writeFailed(err), failure{})
	}
	// A failed write, mostly for lack of space. bbolt writes pages that nothing
	// refers to yet, and discards them: the next commit may succeed.
	return s.writeFailed(fmt.Errorf("write to %s: %w", s.path, err))
}

// isBareErrno reports whether err is an unwrapped errno.
func isBareErrno(err error) bool {
	_, ok := err.(syscall.Errno)
	return ok
}
