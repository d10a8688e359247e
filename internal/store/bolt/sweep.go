package bolt

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// sweepChunks bounds the chunks that one transaction deletes (16 MiB of
	// raw bytes), so that nobody waits long behind a large deletion.
	sweepChunks = 64
	// sweepRetry is the first pause after a deletion that failed, on a full
	// disk for example; each further one is twice as long, up to the maximum.
	sweepRetry    = 50 * time.Millisecond
	maxSweepRetry = 10 * time.Second
)

// garbage is what this process knows of generations in use and to be deleted.
type garbage struct {
	wake chan struct{} // holds one: look again

	mu     sync.Mutex
	refs   map[uint64]int      // guarded by mu; open readers of a generation
	doomed map[uint64]struct{} // guarded by mu; listed in the file, to be deleted
}

// add dooms a generation whose entry in the garbage bucket is durable. Zero
// is none.
func (g *garbage) add(generation uint64) {
	if generation == 0 {
		return
	}
	g.doom(generation)
	g.signal()
}

func (g *garbage) doom(generation uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.doomed == nil {
		g.doomed = make(map[uint64]struct{})
	}
	g.doomed[generation] = struct{}{}
}

func (g *garbage) signal() {
	select {
	case g.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// hold keeps the chunks of a generation until release.
func (g *garbage) hold(generation uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refs == nil {
		g.refs = make(map[uint64]int)
	}
	g.refs[generation]++
}

func (g *garbage) release(generation uint64) {
	g.mu.Lock()
	last := g.refs[generation] == 1
	if last {
		delete(g.refs, generation)
	} else {
		g.refs[generation]--
	}
	_, doomed := g.doomed[generation]
	g.mu.Unlock()
	if last && doomed {
		g.signal()
	}
}

// ready returns doomed generations that nobody reads, at most sweepChunks.
// None of them can gain a reader: see Store.Get.
func (g *garbage) ready() []uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []uint64
	for generation := range g.doomed {
		if g.refs[generation] == 0 {
			if out = append(out, generation); len(out) == sweepChunks {
				break
			}
		}
	}
	return out
}

func (g *garbage) forget(generations []uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, generation := range generations {
		delete(g.doomed, generation)
	}
}

// sweep is the goroutine that deletes chunks. Close ends and awaits it.
func (s *Store) sweep() {
	defer close(s.sweepDone)
	pause := sweepRetry
	for {
		var again <-chan time.Time
		if err := s.sweepReady(); err == nil {
			pause = sweepRetry
		} else {
			again = time.After(pause)
			if pause == sweepRetry {
				s.log.Warn("removing deleted blobs waits", "file", s.path, "error", err)
			}
			pause = min(2*pause, maxSweepRetry)
		}
		select {
		case <-s.garbage.wake:
		case <-again:
		case <-s.stop:
			return
		}
	}
}

// sweepReady deletes all that is doomed and not read.
func (s *Store) sweepReady() error {
	for {
		ready := s.garbage.ready()
		if len(ready) == 0 {
			return nil
		}
		if err := s.sweepSome(ready); err != nil {
			return err
		}
	}
}

// sweepSome deletes up to sweepChunks chunks of generations in one
// transaction.
func (s *Store) sweepSome(generations []uint64) error {
	var gone []uint64
	err := s.submit(context.Background(), 0, func(tx *bbolt.Tx) error {
		gone = gone[:0]
		left := sweepChunks
		for _, generation := range generations {
			all, err := deleteChunks(tx, generation, &left)
			if err != nil || !all {
				return err
			}
			if err := tx.Bucket(bucketGarbage).Delete(generationKey(generation)); err != nil {
				return err
			}
			gone = append(gone, generation)
		}
		return nil
	})
	switch {
	case err == nil:
		s.garbage.forget(gone)
		return nil
	case !errors.Is(err, ErrDamaged):
		return err
	case len(generations) == 1:
		s.log.Warn("chunks of a deleted blob cannot be removed", "file", s.path, "generation", generations[0], "error", err)
		s.garbage.forget(generations) // until the next start
		return nil
	}
	// One of them is damaged: find it, so that the others go.
	for _, generation := range generations {
		if err := s.sweepSome([]uint64{generation}); err != nil {
			return err
		}
	}
	return nil
}

// deleteChunks deletes up to *left chunks of a generation, counts them off,
// and reports whether none remain.
func deleteChunks(tx *bbolt.Tx, generation uint64, left *int) (all bool, err error) {
	b := tx.Bucket(bucketChunks)
	prefix := generationKey(generation)
	var keys [][]byte // deleting under a cursor moves it
	c := b.Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		if len(keys) == *left {
			break
		}
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return false, err
		}
	}
	full := len(keys) == *left
	*left -= len(keys)
	return !full, nil
}
