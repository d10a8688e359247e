package bolt

import (
	"context"

	"go.etcd.io/bbolt"
)

const (
	// maxBatchOps bounds the calls that share one transaction. A commit costs
	// two syncs however many calls it carries; past some hundred the syncs
	// hardly count any more.
	maxBatchOps = 256
	// maxBatchBytes bounds the blob bytes of one transaction, which bbolt
	// holds twice in memory while it commits.
	maxBatchBytes = 4 << 20
)

// op is one change that waits for the writer.
type op struct {
	apply func(*bbolt.Tx) error // may run more than once; the last run counts
	size  int                   // blob bytes that it writes
	done  chan error            // takes one answer without blocking
}

// start hands a change to the writer. Its outcome comes from wait; between
// the two the caller goes on. It fails if ctx ends while the queue is full.
func (s *Store) start(ctx context.Context, size int, apply func(*bbolt.Tx) error) (*op, error) {
	o := &op{apply: apply, size: size, done: make(chan error, 1)}
	select {
	case <-s.stop:
		return nil, errClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	default:
	}
	select {
	case s.ops <- o:
		return o, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.writerDone:
		return nil, errClosed
	}
}

// wait returns when the change is durable or has failed. No context ends it:
// the caller must learn which of the two.
func (s *Store) wait(o *op) error {
	select {
	case err := <-o.done:
		return err
	case <-s.writerDone:
	}
	select {
	case err := <-o.done:
		return err
	default:
		return errClosed // never taken from the queue
	}
}

func (s *Store) submit(ctx context.Context, size int, apply func(*bbolt.Tx) error) error {
	o, err := s.start(ctx, size, apply)
	if err != nil {
		return err
	}
	return s.wait(o)
}

// write is the one goroutine that changes the file. Calls that arrive while
// a commit is under way form the next one: nobody waits for a timer, and the
// slower the disk, the more calls share a sync.
func (s *Store) write() {
	defer close(s.writerDone)
	var held *op // did not fit the last batch
	for {
		first := held
		if first == nil {
			select {
			case <-s.stop:
				return
			case first = <-s.ops:
			}
		}
		var batch []*op
		batch, held = s.gather(first)
		s.commit(batch)
		_ = s.view(func(tx *bbolt.Tx) error { // only for the count of memory
			s.touch(tx, touchedByCommit)
			return nil
		})
	}
}

// gather takes what waits, up to the limits of a batch.
func (s *Store) gather(first *op) (batch []*op, held *op) {
	batch, size := []*op{first}, first.size
	for len(batch) < maxBatchOps {
		select {
		case o := <-s.ops:
			if size += o.size; size > maxBatchBytes {
				return batch, o
			}
			batch = append(batch, o)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// commit applies a batch and answers its calls. A call that fails does not
// take the others with it: they are applied again without it.
func (s *Store) commit(batch []*op) {
	for len(batch) > 0 {
		var failed int
		inFn, err := s.update(func(tx *bbolt.Tx) error {
			for i, o := range batch {
				failed = i
				if err := o.apply(tx); err != nil {
					return err
				}
			}
			return nil
		})
		switch {
		case inFn:
			batch[failed].done <- err
			batch = append(batch[:failed], batch[failed+1:]...)
		case err != nil && len(batch) > 1 && s.readOnly.Load() == nil && s.broken.Load() == nil:
			// No room for all: what is small, or frees room, may still fit.
			for _, o := range batch {
				s.commit([]*op{o})
			}
			return
		default:
			for _, o := range batch {
				o.done <- err
			}
			return
		}
	}
}
