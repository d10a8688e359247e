package stream

import (
	"errors"
	"fmt"
	"strings"
)

// A file whose blocks were written before is synced with one write to the
// disk; one whose room was only allocated, with two or more, for the file
// system must also note which blocks are in use. So segments are written once
// in advance: the files of released segments are used again, and one of zeros
// is made in the background when there is none.

const (
	sparePrefix = "spare-"
	// maxSpares bounds the files kept for later segments.
	maxSpares = 2
	// zeroBytes is how much of a spare is written at once.
	zeroBytes = 512 << 10
)

// spare is a file of w.segment bytes, all of them written once.
type spare struct {
	name string
	file file
	used bool // it was a segment: its old bytes are still there
}

// takeSpare returns a spare, or nil, and has another one made.
func (w *wal) takeSpare() *spare {
	w.segMu.Lock()
	defer w.segMu.Unlock()
	var s *spare
	if n := len(w.spares); n > 0 {
		s, w.spares = w.spares[n-1], w.spares[:n-1]
	}
	if len(w.spares) == 0 {
		select {
		case w.low <- struct{}{}:
		default:
		}
	}
	return s
}

// spareName is a name that no spare had. The caller holds w.segMu.
func (w *wal) spareName() string {
	w.spareNumber++
	return fmt.Sprintf("%s%d", sparePrefix, w.spareNumber)
}

// prepare makes spares until low is closed.
func (w *wal) prepare() {
	defer close(w.prepared)
	for range w.low {
		w.segMu.Lock()
		enough := len(w.spares) > 0
		name := w.spareName()
		w.segMu.Unlock()
		if enough {
			continue
		}
		if err := w.makeSpare(name); err != nil {
			// Segments are made without, then; a full disk shows there.
			w.log.Debug("no segment prepared in advance", "error", err)
		}
	}
}

func (w *wal) makeSpare(name string) error {
	f, err := w.folder.create(name, w.segment)
	if err != nil {
		return err
	}
	zeros := make([]byte, zeroBytes)
	for off := int64(0); off < w.segment && err == nil; off += zeroBytes {
		if _, err = f.WriteAt(zeros[:min(zeroBytes, w.segment-off)], off); err == nil {
			err = f.Sync() // in small parts: a group may be waiting for the disk
		}
	}
	if err != nil {
		return errors.Join(err, f.Close(), w.folder.remove(name))
	}
	w.segMu.Lock()
	w.spares = append(w.spares, &spare{name: name, file: f})
	w.segMu.Unlock()
	return nil
}

// recycle renames the file of a released segment to a spare. Only a rename
// that is durable lets the next segment go, so there is no second way to fail.
func (w *wal) recycle(seg *segment) error {
	w.segMu.Lock()
	name := w.spareName()
	keep := len(w.spares) < maxSpares && seg.size == w.segment
	w.segMu.Unlock()
	if !keep {
		return w.folder.remove(seg.name)
	}
	if err := w.folder.rename(seg.name, name); err != nil {
		return err
	}
	// Another handle: readers that still have the old one must not read what
	// the next segment writes.
	f, _, err := w.folder.open(name)
	if err != nil {
		return err
	}
	w.segMu.Lock()
	w.spares = append(w.spares, &spare{name: name, file: f, used: true})
	w.segMu.Unlock()
	return nil
}

// dropSpares removes the spares that are left, those of an earlier run too.
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
