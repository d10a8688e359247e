package bolt

import (
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// bbolt keeps the pages freed by deletions for itself: its file never shrinks.
// A shared or full volume needs that space, so the maintenance goroutine makes
// holes of free pages: the file keeps its length, but its blocks are freed.
const (
	// punchThreshold is how many pages (8 MiB) must have become free to make a
	// scan of all of them worthwhile.
	punchThreshold = 2048
	// punchPages limits the pages of one step, during which nothing can be
	// written.
	punchPages = 8192
	// minHole is the shortest run of pages (16 KiB) that becomes a hole:
	// shorter ones would fragment the file for little gain.
	minHole = 4
	// maxPunchTries limits how often in a row readers may prevent a step, until
	// the next scan.
	maxPunchTries = 1000
)

// punchHoles makes holes if many pages have become free.
func (s *Store) punchHoles() {
	h := s.db.Load()
	if h == nil {
		return
	}
	free := h.db.Stats().FreePageN
	s.freeAfterPunch = min(s.freeAfterPunch, free)
	if free < s.freeAfterPunch+punchThreshold {
		return
	}
	tries := 0
	for from := 2; from > 0; tries++ { // after the headers
		next, err := s.punch(h, from)
		if err != nil {
			s.log.Warn("free space of the catalog is not given back to the disk", "file", s.path, "error", err)
			break // not worth an attempt every second
		}
		if next != from {
			tries = 0
		}
		if from = next; tries == maxPunchTries || s.stopped() {
			return
		}
	}
	s.freeAfterPunch = free
}

// punch makes holes from a page on, and returns the page at which to continue:
// zero at the end. It runs in a write transaction that changes nothing. A page
// that is free in it is unused, unless an older transaction still reads it: the
// writer's next transaction might write there, too.
func (s *Store) punch(h *handle, from int) (next int, err error) {
	var tx *bbolt.Tx
	if err := s.begin(&tx, true); err != nil {
		return 0, err
	}
	defer func() { _ = guard(tx.Rollback) }()
	if s.reading.Load() > 0 {
		return from, nil // only briefly
	}
	err = guard(func() error {
		run, page := 0, from
		for last := int(tx.Size() / pageSize); page < last && page < from+punchPages; {
			p, err := tx.Page(page)
			if err != nil {
				return err
			}
			if p.Type == "free" {
				run++
				page++
				continue
			}
			if err := h.hole(page-run, run); err != nil {
				return err
			}
			run = 0
			page += 1 + p.OverflowCount
		}
		if next = page; int64(page) >= tx.Size()/pageSize {
			next = 0
		}
		return h.hole(page-run, run)
	})
	return next, err
}

// hole frees the blocks of pages.
func (h *handle) hole(page, pages int) error {
	if pages < minHole {
		return nil
	}
	return unix.Fallocate(int(h.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(page)*pageSize, int64(pages)*pageSize)
}
