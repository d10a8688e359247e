package auth

import (
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// reloadEvery is how often files are checked: a revoked token remains valid for
// up to this long.
const reloadEvery = time.Second

// reloaded is the parsed content of some files, reloaded when they change. The
// first caller in each interval checks them. Nobody waits for it, and there is no
// background goroutine.
type reloaded[T any] struct {
	paths []string
	parse func(paths []string) (*T, error)
	log   *slog.Logger

	value atomic.Pointer[T]
	next  atomic.Int64 // time of the next check, Unix nanoseconds
	seen  []fileState  // owned by the caller that advanced next
}

// fileState changes whenever a file is written.
type fileState struct {
	modified time.Time
	size     int64
	info     fs.FileInfo // detects a file replaced by another
}

// reload reads the files for the first time.
func reload[T any](log *slog.Logger, parse func([]string) (*T, error), paths ...string) (*reloaded[T], error) {
	r := &reloaded[T]{paths: paths, parse: parse, log: log}
	r.seen = r.stat()
	v, err := parse(paths)
	if err != nil {
		return nil, err
	}
	r.value.Store(v)
	r.next.Store(time.Now().Add(reloadEvery).UnixNano())
	return r, nil
}

// get returns the current content. If the files have become unreadable, it keeps
// the previous content and logs the error.
func (r *reloaded[T]) get(now time.Time) *T {
	next := r.next.Load()
	if len(r.paths) == 0 || now.UnixNano() < next || !r.next.CompareAndSwap(next, int64(1<<63-1)) {
		return r.value.Load()
	}
	if seen := r.stat(); !same(seen, r.seen) {
		if v, err := r.parse(r.paths); err != nil {
			r.log.Error("cannot reload files; tokens are checked against their previous content", "error", err)
		} else {
			r.value.Store(v)
			r.log.Info("read again", "files", r.paths)
		}
		r.seen = seen
	}
	r.next.Store(now.Add(reloadEvery).UnixNano())
	return r.value.Load()
}

func (r *reloaded[T]) stat() []fileState {
	seen := make([]fileState, len(r.paths))
	for i, path := range r.paths {
		if info, err := os.Stat(path); err == nil {
			seen[i] = fileState{info.ModTime(), info.Size(), info}
		}
	}
	return seen
}

func same(a, b []fileState) bool {
	for i := range a {
		if a[i].size != b[i].size || !a[i].modified.Equal(b[i].modified) ||
			(a[i].info != nil && b[i].info != nil && !os.SameFile(a[i].info, b[i].info)) {
			return false
		}
	}
	return true
}
