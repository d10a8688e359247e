package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
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
	// alarmPause is the pause between two log messages about damage, so that
	// one damaged blob with many readers does not fill the disk with messages.
	alarmPause = 10 * time.Second
)

// volume is the disk as the store knows it.
type volume struct {
	folder string // of the blob files
	disk   disk
	log    *slog.Logger
	stop   chan struct{} // closed by Close

	watch      watch
	writeError atomic.Pointer[error] // of the last failed write, nil once one has succeeded
	space      sync.Mutex            // held while the reserve is made, or given up for a deletion
	reserved   atomic.Bool           // the reserve exists
	alarmed    atomic.Int64          // when damage was last logged, Unix seconds
}

// writeFailed converts the error of a write to one for callers, and keeps it
// for Check if it concerns the disk; nil stays nil.
func (v *volume) writeFailed(err error) error {
	if err == nil || errors.Is(err, logservice.ErrUnavailable) {
		return err
	}
	err = &logservice.UnavailableError{Cause: err}
	passing := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
	if !passing && v.writeError.Swap(&err) == nil {
		v.log.Error("a write of the blob store failed", "folder", v.folder, "error", err)
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// alarm logs that something cannot be read as it was written, and returns the
// error.
func (v *volume) alarm(err error) error {
	now := time.Now()
	if last := v.alarmed.Load(); now.Sub(time.Unix(last, 0)) > alarmPause && v.alarmed.CompareAndSwap(last, now.Unix()) {
		v.log.Error("a blob cannot be read as it was written; it stays as it is", "error", err,
			"hint", "check the disk; delete the blob or restore the data folder from a backup")
	}
	return err
}

func (v *volume) alarmIf(err error) error {
	if errors.Is(err, logs.ErrDamaged) {
		return v.alarm(err)
	}
	return err
}

func (v *volume) reserveFile() string { return filepath.Join(v.folder, "reserve") }

// releaseReserve gives up the reserve, if it exists, for a deletion. The caller
// holds s.space until that has its space: a new reserve would take it.
func (v *volume) releaseReserve() {
	if v.reserved.Swap(false) {
		_ = v.watch.do(func() error { return v.disk.Remove(v.reserveFile()) }) // the deletion finds out
	}
}

// probe finds out whether the disk accepts writes, by filling the reserve or, if
// that exists, by writing less than it.
func (v *volume) probe() {
	trouble := v.writeError.Load()
	v.space.Lock()
	defer v.space.Unlock()
	err := v.watch.do(func() error {
		if v.reserved.Load() {
			return v.writeProbe(probeSize, v.disk.Remove)
		}
		return v.writeProbe(reserveSize, func(temp string) error {
			err := v.disk.Rename(temp, v.reserveFile())
			v.reserved.Store(err == nil)
			return err
		})
	})
	if err != nil {
		_ = v.writeFailed(fmt.Errorf("a test write: %w", err))
		return
	}
	if trouble != nil && v.writeError.CompareAndSwap(trouble, nil) {
		v.log.Info("the blob store can write again", "folder", v.folder)
	}
}

// keepReserve takes over the reserve that the last process left: on a full disk
// there is no space for another one.
func (v *volume) keepReserve() error {
	f, err := v.disk.Open(v.reserveFile())
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	v.reserved.Store(err == nil && info.Size() == reserveSize)
	return err
}

// writeProbe writes and syncs a file of a size, and passes its name to then.
func (v *volume) writeProbe(size int, then func(temp string) error) error {
	temp := v.reserveFile() + ".new"
	if err := v.disk.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := v.disk.Create(temp)
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
		_ = v.disk.Remove(temp) // or the next attempt removes it
	}
	return err
}

func (v *volume) stopped() bool {
	select {
	case <-v.stop:
		return true
	default:
		return false
	}
}
