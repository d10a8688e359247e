package bolt

import (
	"sync"
	"time"
)

// watch tracks the disk operations in progress. Its lock is never held during
// one.
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

// oldest returns how long the oldest of them has been running.
func (w *watch) oldest() (took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.begun {
		took = max(took, time.Since(at))
	}
	return took
}
