package stream

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// openSegments opens the files of the log, oldest first. The numbers of
// existing files, including those kept for their damage, are not used again.
func (r *replay) openSegments() error {
	names, err := r.w.folder.list()
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if len(name) < 16 {
			continue
		}
		number, err := strconv.ParseUint(name[:16], 16, 64)
		if err != nil {
			continue
		}
		r.w.lastNumber = max(r.w.lastNumber, number)
		if name != segmentName(number) {
			continue
		}
		seg := &segment{number: number, name: name, used: segmentHeader, sealed: true}
		switch seg.file, seg.size, err = r.openFile(name); {
		case lostFile(err):
			seg.file, seg.size = unreadable{err}, 0
			r.damage(seg, 0, "a file cannot be opened: "+err.Error())
		case err != nil:
			return fmt.Errorf("segment %s: %w", name, err)
		}
		r.w.segments = append(r.w.segments, seg)
	}
	if n := len(r.w.segments); n > 0 {
		// The contents of an earlier segment are listed in later ones, so
		// readers see what is lost. Without the last one nothing would show the
		// loss.
		if last, ok := r.w.segments[n-1].file.(unreadable); ok {
			return fmt.Errorf("segment %s is the newest and cannot be opened: %w", r.w.segments[n-1].name, last.err)
		}
	}
	return nil
}

// lostFile reports whether an error of open means that the disk has lost the
// file. Other errors may be temporary, or need an operator.
func lostFile(err error) bool { return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EBADMSG) }

// openTries is how often a start tries to open a file: network disks fail once,
// broken ones always.
const openTries = 3

// openFile opens a segment's file.
func (r *replay) openFile(name string) (f file, size int64, err error) {
	for range openTries {
		if f, size, err = r.w.folder.open(name, false); !lostFile(err) {
			break
		}
	}
	return f, size, err
}

// read returns what can be read of a segment. An unreadable block is read as
// zeros, and is damage.
func (r *replay) read(seg *segment) ([]byte, error) {
	if int64(cap(r.buf)) < seg.size {
		r.buf = make([]byte, seg.size)
	}
	b := r.buf[:seg.size]
	n, err := seg.file.ReadAt(b, 0)
	if err == nil || errors.Is(err, io.EOF) {
		return b[:n], nil
	}
	cause, bad := err, 0
	for off := 0; off < len(b); off += int(r.w.block) {
		part := b[off:min(off+int(r.w.block), len(b))]
		n, err := seg.file.ReadAt(part, int64(off))
		switch {
		case errors.Is(err, io.EOF):
			return b[:off+n], nil
		case isDamage(err):
			clear(part)
			bad++
		case err != nil:
			return nil, err
		}
	}
	if bad > 0 {
		r.damage(seg, 0, fmt.Sprintf("%d blocks of %d bytes cannot be read (%v)", bad, r.w.block, cause))
	}
	return b, nil
}

// keptName is the name of a file that keeps bytes of seg.
func (r *replay) keptName(seg *segment, suffix string) string {
	return strings.TrimSuffix(seg.name, walSuffix) + suffix
}

// unreadable is a file that cannot be opened.
type unreadable struct{ err error }

func (f unreadable) ReadAt([]byte, int64) (int, error)  { return 0, f.err }
func (f unreadable) WriteAt([]byte, int64) (int, error) { return 0, f.err }
func (f unreadable) Sync() error                        { return nil } // nothing was written
func (f unreadable) Truncate(int64) error               { return f.err }
func (f unreadable) Extend(int64) error                 { return f.err }
func (f unreadable) Seal()                              {}
func (f unreadable) Close() error                       { return nil }
