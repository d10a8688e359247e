package bolt

import (
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// bbolt keeps the pages that deletions free for itself: its file never
// shrinks. On a volume that is shared, or full, others need that space, so
// the upkeep makes holes of free pages: the file keeps its length, the disk
// gets the blocks back.
const (
	// givePages is how many pages (8 MiB) must have become free for it to be
	// worth a look at all of them.
	givePages = 2048
	// giveAtOnce bounds the pages of one look, during which nobody writes.
	giveAtOnce = 8192
	// giveRun is the shortest run of pages (16 KiB) that becomes a hole:
	// shorter ones would take the file apart for little.
	giveRun = 4
	// giveTries bounds how often readers may be in the way in turn, before the
	// next look.
	giveTries = 1000
)

// giveBack makes holes where much has become free.
func (s *Store) giveBack() {
	h := s.db.Load()
	if h == nil {
		return
	}
	free := h.db.Stats().FreePageN
	s.given = min(s.given, free)
	if free < s.given+givePages {
		return
	}
	tries := 0
	for from := 2; from > 0; tries++ { // after the headers
		next, err := s.punch(h, from)
		if err != nil {
			s.log.Warn("free space of the catalogue is not given back to the disk", "file", s.path, "error", err)
			break // not worth an attempt each second
		}
		if next != from {
			tries = 0
		}
		if from = next; tries == giveTries || s.stopped() {
			return
		}
	}
	s.given = free
}

// punch looks at the pages from one on, makes holes, and returns the page to
// go on at: zero at the end. It runs in a write transaction that changes
// nothing. A page that is free there is in use by nobody, unless an older
// transaction still reads it: the writer's next one might write there, too.
func (s *Store) punch(h *handle, from int) (next int, err error) {
	var tx *bbolt.Tx
	if err := s.begin(&tx, true); err != nil {
		return 0, err
	}
	defer func() { _ = guard(tx.Rollback) }()
	if s.reading.Load() > 0 {
		return from, nil // not for long
	}
	err = guard(func() error {
		run, page := 0, from
		for last := int(tx.Size() / pageSize); page < last && page < from+giveAtOnce; {
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

// hole gives the blocks of pages back to the disk.
func (h *handle) hole(page, pages int) error {
	if pages < giveRun {
		return nil
	}
	return unix.Fallocate(int(h.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(page)*pageSize, int64(pages)*pageSize)
}
