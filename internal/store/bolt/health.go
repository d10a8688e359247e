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
	// reserveSize is what the reserve holds for deletions, which must write
	// before they free: some pages and the list of free pages, for thousands
	// of deletions.
	reserveSize = 4 << 20
	// upkeepPause is the rest between two looks of the upkeep, and between two
	// attempts to get the catalogue back.
	upkeepPause = time.Second
	// hanging is how long an operation of the disk may take before Check
	// reports it: less than clients wait for an answer.
	hanging = 10 * time.Second
	// alarmPause is the rest between two alarms, so that one damaged blob
	// that many read does not fill the disk with alarms.
	alarmPause = 10 * time.Second
)

// Check says what is wrong with the store; see logs.Checker. It asks nothing
// of the disk and returns at once: while something is wrong, the upkeep
// writes every second to find out whether it still is. The log has the paths.
func (s *Store) Check(context.Context) error {
	var why error
	f, trouble := s.failed.Load(), s.trouble.Load()
	took := s.watch.oldest()
	switch {
	case f == nil && took <= hanging && trouble == nil:
		return nil
	case took > hanging:
		why = fmt.Errorf("the disk of the blob store has not answered for %d s", int(took.Seconds()))
	case f != nil && f.damaged:
		why = errors.New("the catalogue of the blob store is damaged and is being made anew")
	case trouble != nil && isFull(*trouble):
		why = fmt.Errorf("the disk of the blob store is full: %w", syscall.ENOSPC)
	case f != nil:
		why = errors.New("the catalogue of the blob store is out of use after a failed sync")
	default:
		why = errors.New("a write of the blob store failed")
	}
	return &logservice.UnavailableError{Cause: why}
}

// writeFailed makes an error of a write that callers understand, and keeps
// it for Check where it is about the disk; nil is nil.
func (s *Store) writeFailed(err error) error {
	if err == nil || errors.Is(err, logservice.ErrUnavailable) {
		return err
	}
	err = &logservice.UnavailableError{Cause: err}
	passing := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
	if !passing && s.trouble.Swap(&err) == nil {
		s.log.Error("a write of the blob store failed", "folder", s.folder, "error", err)
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// alarm logs that something cannot be read as it was written, and returns it.
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

// upkeep is the goroutine that does what need not be done at once. Close ends
// and awaits it.
func (s *Store) upkeep() {
	defer close(s.upkeepDone)
	s.removeRests()
	s.wakeSweep() // for what the last process left
	tick := time.NewTicker(s.pause)
	defer tick.Stop()
	s.probe()
	for {
		select {
		case <-s.sweep:
			if err := s.sweepLegacy(context.Background()); err != nil {
				s.log.Warn("removing deleted blobs waits", "file", s.path, "error", err)
			}
		case <-tick.C:
			if s.trouble.Load() != nil || !s.reserved.Load() {
				s.probe()
			}
			s.giveBack()
		case <-s.stop:
			return
		}
	}
}

func (s *Store) reserveFile() string { return filepath.Join(s.folder, "reserve") }

// releaseReserve gives the reserve up for a deletion. It reports whether
// there was one.
func (s *Store) releaseReserve() bool {
	return s.reserved.Swap(false) && s.watch.do(func() error { return s.disk.Remove(s.reserveFile()) }) == nil
}

// probe writes as much as the reserve holds, and so finds out whether the
// disk takes writes. Where it does, that becomes the reserve.
func (s *Store) probe() {
	trouble := s.trouble.Load()
	if err := s.watch.do(s.fillReserve); err != nil {
		_ = s.writeFailed(fmt.Errorf("no space is in reserve for deletions: %w", err))
		return
	}
	s.reserved.Store(true)
	if trouble != nil && s.trouble.CompareAndSwap(trouble, nil) {
		s.log.Info("the blob store can write again", "folder", s.folder)
	}
}

func (s *Store) fillReserve() error {
	temp := s.reserveFile() + ".new"
	if err := s.disk.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.disk.Create(temp)
	if err != nil {
		return err
	}
	b := make([]byte, 64<<10)
	for n := 0; n < reserveSize && err == nil; n += len(b) {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.disk.Rename(temp, s.reserveFile())
	}
	if err != nil {
		_ = s.disk.Remove(temp) // or the next attempt does
	}
	return err
}

// watch knows the operations of the disk that are under way. Its lock is
// never held during one.
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

// oldest is how long the oldest of them has taken.
func (w *watch) oldest() (took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.begun {
		took = max(took, time.Since(at))
	}
	return took
}
