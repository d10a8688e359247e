package bolt

import (
	"context"
	"time"

	logservice "github.com/harness/log-service"
)

const (
	// maxBatchOps limits the calls that share one transaction. A commit costs
	// two syncs regardless of the number of calls; beyond some hundred the
	// syncs hardly matter. With inlineSize bytes each, it also limits the
	// memory of a transaction.
	maxBatchOps = 256
)

// writer makes the changes of the catalog.
type writer struct {
	*catalog
	ops        chan *op
	writerDone chan struct{}
	abandoned  chan struct{} // closed when Close stops waiting
}

func newWriter(c *catalog) *writer {
	return &writer{catalog: c, ops: make(chan *op, maxBatchOps), writerDone: make(chan struct{}), abandoned: make(chan struct{})}
}

// op is one change waiting for the writer.
type op struct {
	apply func(*txn) error // may run more than once; the last run counts
	files bool             // it refers to a file whose name is not durable yet
	frees bool             // it deletes, and may use the reserve for that
	done  chan error       // has capacity for one result
}

// submit passes a change to the writer and returns when it is durable or has
// failed. It fails if ctx ends while the queue is full; after that it ignores
// ctx, because the caller must learn the outcome.
func (w *writer) submit(ctx context.Context, o *op) error {
	o.done = make(chan error, 1)
	select {
	case <-w.stop:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
	}
	select {
	case w.ops <- o:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.writerDone:
		return errClosed
	}
	select {
	case err := <-o.done:
		return err
	case <-w.abandoned:
		return errClosed
	case <-w.writerDone:
	}
	select {
	case err := <-o.done:
		return err
	default:
		return errClosed // never taken from the queue
	}
}

// write is the only goroutine that changes the catalog. Calls that arrive
// during a commit form the next one: nobody waits for a timer, and the slower
// the disk, the more calls share a sync.
func (w *writer) write() {
	defer close(w.writerDone)
	tick := time.NewTicker(w.pause)
	defer tick.Stop()
	if w.failed.Load() != nil {
		w.recover()
	}
	headersDiffer := false // see header.go
	for quiet := false; ; {
		select {
		case <-w.stop:
			if headersDiffer {
				w.rewriteOlderHeader()
			}
			return
		case first := <-w.ops:
			w.commit(w.collect(first))
			headersDiffer, quiet = true, false
		case <-tick.C:
			if w.failed.Load() != nil {
				w.recover()
			} else if headersDiffer && quiet {
				w.rewriteOlderHeader()
				headersDiffer = false
			}
			quiet = true
		}
	}
}

// rewriteOlderHeader makes an empty commit, which writes the older header. If
// it fails, for example for lack of space, nothing is lost.
func (w *writer) rewriteOlderHeader() {
	_ = w.watch.do(func() error {
		_, err := w.update(func(*txn) error { return nil })
		return err
	})
}

// collect takes the waiting changes, up to the limit of a batch.
func (w *writer) collect(first *op) []*op {
	batch := []*op{first}
	for len(batch) < maxBatchOps {
		select {
		case o := <-w.ops:
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// commit applies a batch and answers its calls. If a call fails, the others are
// applied again without it.
func (w *writer) commit(batch []*op) {
	batch = w.syncNames(batch)
	reserve := false // was given up for the batch
	defer func() {
		if reserve {
			w.space.Unlock()
		}
	}()
	for len(batch) > 0 {
		var failed int
		var inFn bool
		err := w.watch.do(func() (err error) {
			inFn, err = w.update(func(tx *txn) error {
				for i, o := range batch {
					failed = i
					if err := o.apply(tx); err != nil {
						return err
					}
				}
				return nil
			})
			return err
		})
		switch {
		case inFn:
			batch[failed].done <- err
			batch = append(batch[:failed], batch[failed+1:]...)
		case err != nil && len(batch) > 1 && w.failed.Load() == nil:
			// No space for all: small changes, or those that free space, may
			// still fit.
			for _, o := range batch {
				w.commit([]*op{o})
			}
			return
		case err != nil && batch[0].frees && isFull(err) && !reserve:
			w.space.Lock()
			reserve = true
			w.releaseReserve()
		default:
			for _, o := range batch {
				o.done <- err
			}
			return
		}
	}
}

// syncNames makes the names of the batch's files durable, all with one sync. If
// that fails, so do their calls.
func (w *writer) syncNames(batch []*op) (rest []*op) {
	files := false
	for _, o := range batch {
		files = files || o.files
	}
	if !files {
		return batch
	}
	err := w.writeFailed(w.syncFolder())
	if err == nil {
		for _, o := range batch {
			o.files = false
		}
		return batch
	}
	for _, o := range batch {
		if o.files {
			o.done <- &logservice.UnavailableError{Cause: err}
		} else {
			rest = append(rest, o)
		}
	}
	return rest
}
