package stream

import (
	"errors"
	"fmt"
	"strings"
)

// A file whose blocks were written before is synced with one write to the disk.
// One whose space was only allocated needs two or more, because the file system
// must also record which blocks are in use. So the files of released segments
// are reused; if none are released and syncs are frequent, the next segment's
// file is written once in advance.

const (
	sparePrefix = "spare-"
	// maxSpares limits the files kept for later segments.
	maxSpares = 4
	// syncsWorthASpare is how many groups a segment must have for the next
	// one's file to be written in advance: with fewer, larger groups the disk
	// is better used otherwise.
	syncsWorthASpare = 64
	// spareStep is how much of a spare is written at once, and so how long a
	// group may have to wait for it.
	spareStep = 1 << 20
)

// spare is a file that may become a segment. Its old bytes are still there.
type spare struct {
	name string
	file file
	size int64

	reserve bool // it was the reserve
}

// takeSpare returns a spare of at least size bytes, or nil.
func (w *wal) takeSpare(size int64) *spare {
	w.segMu.Lock()
	defer w.segMu.Unlock()
	for i := len(w.spares) - 1; i >= 0; i-- {
		if s := w.spares[i]; s.size >= size {
			w.spares = append(w.spares[:i], w.spares[i+1:]...)
			return s
		}
	}
	return nil
}

// wantsSpare reports whether the file of the segment after the one just begun
// should be written in advance.
func (w *wal) wantsSpare() bool {
	w.segMu.Lock()
	defer w.segMu.Unlock()
	return w.spareWanted && len(w.spares) == 0
}

// makeSpare writes the file of a later segment. Only the maintenance goroutine
// calls it, and an error has no consequences.
func (w *wal) makeSpare() error {
	w.segMu.Lock()
	w.spareWanted = false
	name := w.spareName()
	w.segMu.Unlock()
	f, err := w.folder.create(name, w.segment)
	if err != nil {
		return err
	}
	zeros := blockBuffer(spareStep, int(w.block))[:spareStep]
	for off := int64(0); off < w.segment && err == nil; off += spareStep {
		_, err = f.WriteAt(zeros[:min(spareStep, w.segment-off)], off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Close(), w.folder.remove(name))
	}
	w.addSpare(&spare{name: name, file: f, size: w.segment})
	return nil
}

func (w *wal) addSpare(s *spare) {
	w.segMu.Lock()
	w.spares = append(w.spares, s)
	w.segMu.Unlock()
}

// spareName returns a name that no spare has had. The caller holds w.segMu.
func (w *wal) spareName() string {
	w.spareNumber++
	return fmt.Sprintf("%s%d", sparePrefix, w.spareNumber)
}

// recycle renames the file of a released segment to a spare, or removes it if
// there are enough. A file whose sync failed is not written again: what the
// system considers written may not be on disk.
func (w *wal) recycle(seg *segment) (*spare, error) {
	w.segMu.Lock()
	name := w.spareName()
	keep := len(w.spares) < maxSpares && seg.size == w.segment && !seg.failed && !w.tight.Load()
	w.segMu.Unlock()
	if !keep {
		return nil, w.folder.remove(seg.name)
	}
	// A new handle: readers that still have the old one must not read what the
	// next segment writes.
	f, _, err := w.folder.open(seg.name, true)
	if err != nil {
		return nil, err
	}
	if err := w.folder.rename(seg.name, name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spare{name: name, file: f, size: seg.size}, nil
}

// dropSpares removes all spares, including those of an earlier run.
func (w *wal) dropSpares() error {
	var errs []error
	for _, s := range w.spares {
		errs = append(errs, s.file.Close())
	}
	w.spares = nil
	names, err := w.folder.list()
	errs = append(errs, err)
	for _, name := range names {
		if strings.HasPrefix(name, sparePrefix) {
			errs = append(errs, w.folder.remove(name))
		}
	}
	return errors.Join(errs...)
}
