package stream

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	logservice "github.com/harness/log-service"
)

// A full disk refuses what takes space, and nothing else. Closing, deleting and
// compaction free space, so they have a small file in reserve; new segments are
// smaller if a whole one does not fit; and appends are accepted again as soon
// as a file for them can be created.

const (
	reserveName = "reserve"
	// reserveBytes holds the closes and deletions of some thousand streams.
	reserveBytes = 256 << 10
	// minSegment is the smallest file created for a segment if the disk has no
	// space for a whole one.
	minSegment = 64 << 10
	// freeingBytes limits what is staged at once to free space on a full disk,
	// so that the reserve suffices for many changes.
	freeingBytes = 64 << 10
	// closingBytes of what is left on a full disk are for closes and deletions
	// alone: a compaction frees space only once it has finished.
	closingBytes = 128 << 10
)

// isFull reports whether err means that there is no space.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// frees reports whether the record frees space, now or later.
func (it *staged) frees() bool {
	return it.compacts || it.rec.kind == kindClose || it.rec.kind == kindDelete
}

// mayFree reports whether items may be staged while the disk is full.
func (w *wal) mayFree(items []staged) bool {
	size, compacts := int64(0), false
	for i := range items {
		if !items[i].frees() {
			return false
		}
		size += recordHeader + int64(len(items[i].data))
		compacts = compacts || items[i].compacts
	}
	return size <= freeingBytes && (!compacts || w.left.Load()+w.reserved.Load()-size >= closingBytes)
}

// reserveFor is how large the reserve must be for g, which needs need bytes, to
// take it; 0 means that g may not. A compaction leaves some of it to closes, also
// before the disk is known to be full.
func (g *group) reserveFor(need int64) int64 {
	if !g.onlyFrees() {
		return 0
	}
	for i := range g.items {
		if g.items[i].compacts {
			return need + closingBytes
		}
	}
	return need
}

// onlyFrees reports whether all that g has frees space.
func (g *group) onlyFrees() bool {
	for i := range g.items {
		if !g.items[i].frees() {
			return false
		}
	}
	return len(g.items) > 0
}

// freeTries limits how often a change that frees space is tried. Another one in
// a row fails only if space for a small file was found and used up in between.
const freeTries = 10

// despiteFullDisk makes a change that frees space. It fails if it shared a group
// with a change that the disk had no space for; from then on the log accepts only
// changes like it, once the failed group is reverted.
func (w *wal) despiteFullDisk(ctx context.Context, change func() error) (err error) {
	for range freeTries {
		if err = change(); w == nil || !isFull(err) {
			return err
		}
		if err := w.awaitReverted(ctx); err != nil {
			return err
		}
	}
	return err
}

// takeFile returns a file of at least need bytes: a spare, a new one under name
// (as large as the disk allows), or the reserve if that has reserve bytes; with
// 0 it is not taken.
func (w *wal) takeFile(name string, need, reserve int64) (*spare, error) {
	if s := w.takeSpare(max(need, w.segment)); s != nil {
		return s, nil
	}
	s, err := w.createFile(name, need)
	if err == nil {
		return s, nil
	}
	if s := w.takeSpare(need); s != nil {
		return s, nil
	}
	if reserve > 0 && isFull(err) {
		if s := w.takeReserve(reserve); s != nil {
			return s, nil
		}
	}
	return nil, err
}

// createFile creates a file for a whole segment, or a smaller one if the disk
// has no space for that.
func (w *wal) createFile(name string, need int64) (*spare, error) {
	want := max(w.segment, need)
	for size := want; ; size /= 4 {
		size = max(size, need)
		f, err := w.folder.create(name, size)
		if err == nil && want == w.segment {
			w.tight.Store(size < want)
		}
		if err == nil {
			return &spare{name: name, file: f, size: size}, nil
		}
		if !isFull(err) || size == need || size/4 < minSegment {
			return nil, err
		}
	}
}

// takeReserve returns the reserve if it has need bytes, otherwise nil. It gets
// another name at once: the next reserve may be created meanwhile.
func (w *wal) takeReserve(need int64) *spare {
	w.segMu.Lock()
	defer w.segMu.Unlock()
	s := w.reserve
	if s == nil || s.size < need {
		return nil
	}
	name := w.spareName()
	if w.folder.rename(s.name, name) != nil {
		return nil
	}
	s.name, s.reserve, w.reserve = name, true, nil
	w.reserved.Store(0)
	return s
}

// makeReserve creates the reserve, or opens the one of an earlier run.
func (w *wal) makeReserve() error {
	w.segMu.Lock()
	there := w.reserve != nil
	w.segMu.Unlock()
	if there {
		return nil
	}
	size := min(reserveBytes, w.segment)
	f, have, err := w.folder.open(reserveName, true)
	if err == nil && have < size {
		err = errors.Join(f.Close(), w.folder.remove(reserveName), errShortReserve)
	}
	if err != nil {
		if f, err = w.folder.create(reserveName, size); err != nil {
			return err
		}
		if err := w.folder.sync(); err != nil {
			return errors.Join(err, f.Close())
		}
		have = size
	}
	w.segMu.Lock()
	w.reserve = &spare{name: reserveName, file: f, size: have}
	w.reserved.Store(have)
	w.segMu.Unlock()
	return nil
}

var errShortReserve = errors.New("the reserve is too small")

// recover accepts appends again once there is space for them. The maintenance
// goroutine calls it.
func (w *wal) recover() {
	w.mu.Lock()
	full := w.refusal.full
	w.mu.Unlock()
	// Also while the disk is not known to be full: closes may have used it up.
	if err := w.makeReserve(); err != nil || full == nil {
		return
	}
	w.segMu.Lock()
	name := w.spareName()
	ready := len(w.spares) > 0
	w.segMu.Unlock()
	if !ready {
		s, err := w.createFile(name, min(minSegment, w.segment))
		if err != nil {
			return
		}
		w.addSpare(s)
	}
	w.mu.Lock()
	w.refusal.full = nil
	w.mu.Unlock()
	w.log.Info("the disk has space again: the write-ahead log accepts lines")
}

// hangTime is how long a write may take before the disk is considered hung.
const hangTime = 10 * time.Second

// check returns why the log accepts no lines now, or nil.
func (w *wal) check(now time.Duration) error {
	if since := w.began.Load(); since > 0 && now-time.Duration(since) > hangTime {
		return &logservice.UnavailableError{Cause: fmt.Errorf(
			"the disk of the write-ahead log hangs: a write has been under way for %s", (now - time.Duration(since)).Round(time.Second))}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return &logservice.UnavailableError{Cause: errors.New("the server is stopping")}
	}
	return w.refusal.ofAny()
}
