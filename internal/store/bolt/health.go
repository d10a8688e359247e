package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// reserveSize is the size of the reserve for deletions, which must write
	// before they free space: some pages and the list of free pages, for
	// thousands of deletions.
	reserveSize = 4 << 20
	// probeSize is how much must fit on the disk, in addition to the reserve,
	// before a disk that was full counts as writable again.
	probeSize = 1 << 20
	// maintenancePause is the pause between two runs of the maintenance, and
	// between two attempts to recover the catalog.
	maintenancePause = time.Second
	// hangTime is how long a disk operation may take before Check reports it:
	// less than clients wait for a response.
	hangTime = 10 * time.Second
	// alarmPause is the pause between two log messages about damage, so that
	// one damaged blob with many readers does not fill the disk with messages.
	alarmPause = 10 * time.Second
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

// writeFailed converts the error of a write to one for callers, and keeps it
// for Check if it concerns the disk; nil stays nil.
func (s *Store) writeFailed(err error) error {
	if err == nil || errors.Is(err, logservice.ErrUnavailable) {
		return err
	}
	err = &logservice.UnavailableError{Cause: err}
	passing := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
	if !passing && s.writeError.Swap(&err) == nil {
		s.log.Error("a write of the blob store failed", "folder", s.folder, "error", err)
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// alarm logs that something cannot be read as it was written, and returns the
// error.
func (s *Store) alarm(err error) error {
	now := time.Now()
	if last := s.alarmed.Load(); now.Sub(time.Unix(last, 0)) > alarmPause && s.alarmed.CompareAndSwap(last, now.Unix()) {
		s.log.Error("a blob cannot be read as it was written; it stays as it is", "error", err,
			"hint", "check the disk; delete the blob or restore the data folder from a backup")
	}
	return err
}

func (s *Store) alarmIf(err error) error {
	if errors.Is(err, logs.ErrDamaged) {
		return s.alarm(err)
	}
	return err
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

func (s *Store) reserveFile() string { return filepath.Join(s.folder, "reserve") }

// releaseReserve gives up the reserve, if it exists, for a deletion. The caller
// holds s.space until that has its space: a new reserve would take it.
func (s *Store) releaseReserve() {
	if s.reserved.Swap(false) {
		_ = s.watch.do(func() error { return s.disk.Remove(s.reserveFile()) }) // the deletion finds out
	}
}

// probe finds out whether the disk accepts writes, by filling the reserve or, if
// that exists, by writing less than it.
func (s *Store) probe() {
	trouble := s.writeError.Load()
	s.space.Lock()
	defer s.space.Unlock()
	err := s.watch.do(func() error {
		if s.reserved.Load() {
			return s.writeProbe(probeSize, s.disk.Remove)
		}
		return s.writeProbe(reserveSize, func(temp string) error {
			err := s.disk.Rename(temp, s.reserveFile())
			s.reserved.Store(err == nil)
			return err
		})
	})
	if err != nil {
		_ = s.writeFailed(fmt.Errorf("a test write: %w", err))
		return
	}
	if trouble != nil && s.writeError.CompareAndSwap(trouble, nil) {
		s.log.Info("the blob store can write again", "folder", s.folder)
	}
}

// keepReserve takes over the reserve that the last process left: on a full disk
// there is no space for another one.
func (s *Store) keepReserve() error {
	f, err := s.disk.Open(s.reserveFile())
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	s.reserved.Store(err == nil && info.Size() == reserveSize)
	return err
}

// writeProbe writes and syncs a file of a size, and passes its name to then.
func (s *Store) writeProbe(size int, then func(temp string) error) error {
	temp := s.reserveFile() + ".new"
	if err := s.disk.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.disk.Create(temp)
	if err != nil {
		return err
	}
	b := make([]byte, 64<<10)
	for n := 0; n < size && err == nil; n += len(b) {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = then(temp)
	}
	if err != nil {
		_ = s.disk.Remove(temp) // or the next attempt removes it
	}
	return err
}

// watch tracks the disk operations in progress. Its lock is never held during
// one.
type watch struct {
	mu    sync.Mutex
	next  int               // guarded by mu
	begun map[int]time.Time // guarded by mu
}

func (w *watch) do(f func() error) error {
	w.mu.Lock()
	if w.begun == nil {
		w.begun = make(map[int]time.Time)
	}
	n := w.next
	w.next++
	w.begun[n] = time.Now()
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.begun, n)
	}()
	return f()
}

// oldest returns how long the oldest of them has been running.
func (w *watch) oldest() (took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.begun {
		took = max(took, time.Since(at))
	}
	return took
}
