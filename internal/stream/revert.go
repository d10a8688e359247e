package stream

import (
	"context"
	"fmt"
	"slices"
	"time"

	logservice "github.com/harness/log-service"
)

// retryPause is how long a log that could not be written refuses at once
// before it tries a new file: a full disk must not cost one file creation
// per request.
const retryPause = time.Second

// refusal is why records cannot be staged. The zero value refuses none. It is
// guarded by wal.mu.
type refusal struct {
	failure  error         // of the last write, until one succeeds; not of a full disk
	until    time.Time     // nothing can be staged before, after a failure
	full     error         // why only what frees space can be staged
	reverted chan struct{} // closed once the failed groups are reverted; nil: none is being reverted
}

// ofAll returns why nothing can be staged, or nil.
func (r *refusal) ofAll() error {
	if r.failure != nil && (r.reverted != nil || time.Now().Before(r.until)) {
		return r.failure
	}
	return nil
}

// begin refuses everything while failed groups are reverted.
func (r *refusal) begin(err error, full bool) {
	r.failure, r.reverted = err, make(chan struct{})
	if full {
		r.full = err
	}
}

// end follows begin when the groups are reverted.
func (r *refusal) end(full bool) {
	if full { // the maintenance goroutine finds out when it no longer is
		r.failure = nil
	}
	r.until = time.Now().Add(retryPause)
	close(r.reverted)
	r.reverted = nil
}

// ofAny returns why not everything can be staged, or nil.
func (r *refusal) ofAny() error {
	if r.full != nil {
		return r.full
	}
	return r.failure
}

// fail reverts g and what was staged since: it relies on g's sequences.
func (w *wal) fail(g *group, cause error) {
	err := &logservice.UnavailableError{Cause: fmt.Errorf("write-ahead log: %w", cause), RetryAfter: 2 * time.Second}
	w.log.Error("cannot write the write-ahead log: appends are refused until it can be written", "error", cause)
	full := isFull(cause)
	w.mu.Lock()
	failed := append([]*group{g}, w.queue...)
	w.queue = nil
	w.begin(0)
	w.refusal.begin(err, full)
	w.mu.Unlock()
	if full {
		w.tight.Store(true)
	}
	for _, x := range slices.Backward(failed) { // the newest is undone first
		x.err = err
		w.undone(x, err)
		x.buf = nil
	}
	w.mu.Lock()
	w.refusal.end(full)
	w.mu.Unlock()
	for _, x := range failed {
		close(x.done)
	}
}

// settle waits until everything that was staged before is durable or reverted.
func (w *wal) settle(ctx context.Context) error {
	if err := w.awaitReverted(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	g := w.queue[len(w.queue)-1]
	if len(g.items) == 0 {
		g = w.writing
	}
	w.mu.Unlock()
	if err := g.wait(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// awaitReverted waits until no failed group is being reverted: meanwhile nothing
// can be staged. The caller holds no stream's lock, which reverting takes.
func (w *wal) awaitReverted(ctx context.Context) error {
	w.mu.Lock()
	reverted := w.refusal.reverted
	w.mu.Unlock()
	if reverted == nil {
		return nil
	}
	select {
	case <-reverted:
		return nil
	case <-ctx.Done():
		return &logservice.UnavailableError{Cause: ctx.Err()}
	}
}

func (w *wal) isFull() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal.full != nil
}

func (w *wal) isFailing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal.failure != nil
}
