package auth

import (
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// reloadEvery is how often a file is looked at: a token that was revoked is
// good for a second more.
const reloadEvery = time.Second

// reloaded is what some files say, read again when they change. Whoever asks
// first in a second looks; nobody waits for that, and no goroutine is kept.
type reloaded[T any] struct {
	paths []string
	parse func(paths []string) (*T, error)
	log   *slog.Logger

	value atomic.Pointer[T]
	next  atomic.Int64 // when to look again, in nanoseconds since 1970
	seen  []fileState  // owned by whoever moved next on
}

// fileState is what changes when somebody writes a file.
type fileState struct {
	modified time.Time
	size     int64
	info     fs.FileInfo // tells a file that was put in place of another
}

// reload reads the files for the first time.
func reload[T any](log *slog.Logger, parse func([]string) (*T, error), paths ...string) (*reloaded[T], error) {
	r := &reloaded[T]{paths: paths, parse: parse, log: log}
	r.seen = r.look()
	v, err := parse(paths)
	if err != nil {
		return nil, err
	}
	r.value.Store(v)
	r.next.Store(time.Now().Add(reloadEvery).UnixNano())
	return r, nil
}

// get returns what the files say. Where they have become unreadable what they
// said before counts, and the log says so.
func (r *reloaded[T]) get(now time.Time) *T {
	next := r.next.Load()
	if len(r.paths) == 0 || now.UnixNano() < next || !r.next.CompareAndSwap(next, int64(1<<63-1)) {
		return r.value.Load()
	}
	if seen := r.look(); !same(seen, r.seen) {
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

func (r *reloaded[T]) look() []fileState {
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
