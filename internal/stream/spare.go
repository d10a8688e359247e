package stream

import (
	"errors"
	"fmt"
	"strings"
)

// A file whose blocks were written before is synced with one write to the
// disk; one whose room was only allocated, with two or more, for the file
// system must also note which blocks are in use. So the files of released
// segments are used again.

const (
	sparePrefix = "spare-"
	// maxSpares bounds the files kept for later segments.
	maxSpares = 4
)

// spare is the file of a former segment, of w.segment bytes. Its old bytes
// are still there.
type spare struct {
	name string
	file file
}

// takeSpare returns a spare, or nil.
func (w *wal) takeSpare() *spare {
	w.segMu.Lock()
	defer w.segMu.Unlock()
	n := len(w.spares)
	if n == 0 {
		return nil
	}
	s := w.spares[n-1]
	w.spares = w.spares[:n-1]
	return s
}

// spareName is a name that no spare had. The caller holds w.segMu.
func (w *wal) spareName() string {
	w.spareNumber++
	return fmt.Sprintf("%s%d", sparePrefix, w.spareNumber)
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
	f, _, err := w.folder.open(name, true)
	if err != nil {
		return err
	}
	w.segMu.Lock()
	w.spares = append(w.spares, &spare{name: name, file: f})
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
