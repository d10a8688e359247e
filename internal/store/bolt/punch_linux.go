package bolt

import (
	"slices"

	"golang.org/x/sys/unix"
)

// bbolt keeps the pages freed by deletions for itself: its file never shrinks.
// A shared or full volume needs that space, so the maintenance goroutine makes
// holes of free pages: the file keeps its length, but its blocks are freed.
const (
	// punchThreshold is how many pages (8 MiB) must have become free to make a
	// scan of all of them worthwhile.
	punchThreshold = 2048
	// punchRest is how many pages (512 KiB) make a scan worthwhile once no more
	// have become free for quietTicks runs of the maintenance: the rest of a
	// large deletion.
	punchRest  = 128
	quietTicks = 10
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

// punched is what punchHoles knows of the free pages.
type punched struct {
	free  int // after the last scan; fewer if some have been reused since
	last  int // at the last call
	quiet int // calls since their number last changed
}

// due reports whether free pages make a scan worthwhile.
func (p *punched) due(free int) bool {
	if p.quiet++; free != p.last {
		p.last, p.quiet = free, 0
	}
	p.free = min(p.free, free)
	more := free - p.free
	return more >= punchThreshold || more >= punchRest && p.quiet >= quietTicks
}

// punchHoles makes holes if enough pages have become free.
func (c *catalog) punchHoles() {
	h := c.db.Load()
	if h == nil {
		return
	}
	free := h.db.Stats().FreePageN
	if !c.punched.due(free) {
		return
	}
	tries := 0
	for from := int64(0); from >= 0; tries++ {
		next, err := c.punch(h, from)
		if err != nil {
			c.log.Warn("free space of the catalog is not given back to the disk", "file", c.path, "error", err)
			break // not worth an attempt every second
		}
		if next != from {
			tries = 0
		}
		if from = next; tries == maxPunchTries || c.stopped() {
			return
		}
	}
	c.punched.free = free
}

// punch makes holes from a page on, and returns the page at which to continue:
// -1 at the end. It runs in a write transaction that changes nothing. A page
// that is free in it is unused, unless an older transaction still reads it: the
// writer's next transaction might write there, too. It does not access the
// pages themselves: in memory file systems that would give a hole its block
// back.
func (c *catalog) punch(h *handle, from int64) (next int64, err error) {
	tx, err := c.begin(true)
	if err != nil {
		return -1, err
	}
	defer func() { _ = guard(tx.Rollback) }()
	if c.reading.Load() > 0 {
		return from, nil // only briefly
	}
	pages, _, err := freePages(h.file)
	if err != nil {
		return -1, err
	}
	at, _ := slices.BinarySearch(pages, from)
	pages = pages[at:]
	for done := 0; len(pages) > 0; {
		if done >= punchPages {
			return pages[0], nil
		}
		run := 1
		for run < len(pages) && pages[run] == pages[0]+int64(run) {
			run++
		}
		if err := h.hole(pages[0], run); err != nil {
			return -1, err
		}
		done += run
		pages = pages[run:]
	}
	return -1, nil
}

// hole frees the blocks of pages.
func (h *handle) hole(page int64, pages int) error {
	if pages < minHole {
		return nil
	}
	return unix.Fallocate(int(h.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, page*pageSize, int64(pages)*pageSize)
}
