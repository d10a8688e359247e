// Package reload reads files again when they change.
package reload

import (
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Every is how often files are checked: what was replaced, such as a list of
// revoked tokens, remains in force for up to this long.
const Every = time.Second

// began is where the time of checks is measured from, on a clock that cannot jump.
var began = time.Now()

// Files is the parsed content of some files, reloaded when they change. The
// first caller in each interval checks them. Nobody waits for it, and there is no
// background goroutine.
type Files[T any] struct {
	paths []string
	parse func(paths []string) (*T, error)
	log   *slog.Logger

	value  atomic.Pointer[T]
	next   atomic.Int64  // time of the next check, in nanoseconds since began
	seen   []fs.FileInfo // of value; owned by the caller that advanced next, like failed
	failed []fs.FileInfo // that could not be parsed
}

// New reads the files for the first time.
func New[T any](log *slog.Logger, parse func([]string) (*T, error), paths ...string) (*Files[T], error) {
	f := &Files[T]{paths: paths, parse: parse, log: log}
	f.seen = f.stat()
	v, err := parse(paths)
	if err != nil {
		return nil, err
	}
	f.value.Store(v)
	f.next.Store(int64(time.Since(began) + Every))
	return f, nil
}

// Get returns the current content. If the files have become unreadable or
// invalid, or one that was there is missing, it keeps the previous content: they may be halfway through a change.
// It tries again at every check, and logs the error once.
func (f *Files[T]) Get(now time.Time) *T {
	next := f.next.Load()
	if len(f.paths) == 0 || int64(now.Sub(began)) < next || !f.next.CompareAndSwap(next, int64(1<<63-1)) {
		return f.value.Load()
	}
	if seen := f.stat(); !same(seen, f.seen) {
		f.reload(seen)
	}
	f.next.Store(int64(now.Sub(began) + Every))
	return f.value.Load()
}

func (f *Files[T]) reload(seen []fs.FileInfo) {
	v, err := (*T)(nil), f.lost(seen)
	if err == nil {
		v, err = f.parse(f.paths)
	}
	switch {
	case err == nil:
		f.value.Store(v)
		f.seen, f.failed = seen, nil
		f.log.Info("files reloaded", "files", f.paths)
	case f.failed == nil || !same(seen, f.failed):
		f.failed = seen
		f.log.Error("cannot reload files; their previous content stays in use", "files", f.paths, "error", err)
	}
}

// lost returns an error if a file that was there is missing.
func (f *Files[T]) lost(seen []fs.FileInfo) error {
	for i, path := range f.paths {
		if seen[i] == nil && f.seen[i] != nil {
			return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
	}
	return nil
}

// HasFiles reports whether there is anything that could change.
func (f *Files[T]) HasFiles() bool { return len(f.paths) > 0 }

// stat describes the files; nil for those that cannot be found.
func (f *Files[T]) stat() []fs.FileInfo {
	seen := make([]fs.FileInfo, len(f.paths))
	for i, path := range f.paths {
		if info, err := os.Stat(path); err == nil {
			seen[i] = info
		}
	}
	return seen
}

// same reports whether the files were neither written nor replaced. A renamed
// file may have the size and time of the one that it replaces.
func same(a, b []fs.FileInfo) bool {
	return slices.EqualFunc(a, b, func(a, b fs.FileInfo) bool {
		if a == nil || b == nil {
			return a == nil && b == nil
		}
		return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
	})
}
