package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	logservice "github.com/harness/log-service"
)

// bbolt trusts its pages: a damaged one makes it panic, or read where the
// file has nothing (a fault of the memory map). The functions here turn both
// into ErrDamaged. They run bbolt on the calling goroutine, and bbolt starts
// none of its own in what is used here, so that nothing escapes.

// guard runs f and turns a panic in it into an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

// view runs fn in a read transaction. What fn keeps it must copy.
func (s *Store) view(fn func(*bbolt.Tx) error) error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	var tx *bbolt.Tx
	err := guard(func() (err error) {
		tx, err = s.db.Begin(false)
		return err
	})
	if err != nil {
		if errors.Is(err, ErrDamaged) {
			s.fail(&s.broken, err) // bbolt's locks stay taken
		}
		return s.closedOr(err)
	}
	err = guard(func() error {
		defer func() { _ = tx.Rollback() }()
		return fn(tx)
	})
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return err // fn's own
}

// update runs fn in a write transaction and commits it. inFn reports that fn
// itself failed and that nothing was tried on the file. Only the writer calls
// it, and Open before there is one.
func (s *Store) update(fn func(*bbolt.Tx) error) (inFn bool, err error) {
	for _, state := range []*atomic.Pointer[error]{&s.broken, &s.readOnly} {
		if err := state.Load(); err != nil {
			return false, *err
		}
	}
	var tx *bbolt.Tx
	err = guard(func() (err error) {
		tx, err = s.db.Begin(true)
		return err
	})
	if err != nil {
		if errors.Is(err, ErrDamaged) {
			s.fail(&s.broken, err)
		}
		return false, s.closedOr(err)
	}
	if err = guard(func() error { return fn(tx) }); err != nil {
		if back := guard(tx.Rollback); back != nil {
			s.fail(&s.readOnly, back)
		}
		return true, fmt.Errorf("%s: %w", s.path, err)
	}
	return false, s.commitError(guard(tx.Commit))
}

// commitError sorts what a commit answered.
func (s *Store) commitError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrDamaged):
		s.fail(&s.readOnly, err)
		return *s.readOnly.Load()
	case isBareErrno(err), strings.HasPrefix(err.Error(), "file sync error"):
		// The bare number comes from fdatasync alone (bbolt writes through
		// os.File, which adds the path). After a failed sync nobody knows
		// what the disk holds, so nothing further is built on it.
		s.fail(&s.readOnly, fmt.Errorf("sync failed: %w", err))
		return *s.readOnly.Load()
	}
	// A write that failed, mostly for want of room. bbolt writes pages that
	// nothing refers to yet, and forgets them: the next commit may succeed.
	return &logservice.UnavailableError{Cause: fmt.Errorf("write to %s: %w", s.path, err)}
}

// isBareErrno reports whether err is an errno itself, not one wrapped.
func isBareErrno(err error) bool {
	_, ok := err.(syscall.Errno)
	return ok
}

// fail sets a state for good and says so once.
func (s *Store) fail(to *atomic.Pointer[error], cause error) {
	var err error = &logservice.UnavailableError{Cause: fmt.Errorf("%s is out of use until a restart: %w", s.path, cause)}
	if to.CompareAndSwap(nil, &err) {
		s.log.Error("blob store stops", "file", s.path, "error", cause,
			"hint", "check the disk, then restart; restore the file from a backup if it stays damaged")
	}
}

// closedOr maps bbolt's own word for a closed file.
func (s *Store) closedOr(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return errClosed
	}
	return fmt.Errorf("%s: %w", s.path, err)
}
