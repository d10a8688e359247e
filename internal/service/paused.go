package service

import (
	"container/list"
	"sync"
)

// maxPaused bounds what the readers of stored logs that wait for their peers
// have read but not sent yet, and what they read with: of all of them together,
// in bytes. See storedCursor.weight.
const maxPaused = 16 << 20

// pausedReads are the cursors that wait for their peers and keep their place: a
// peer that takes a few lines at a time would otherwise make the server read,
// and possibly unpack, the same part of the log again each time. Once there
// are too many, those that have waited longest lose it and reopen the log later.
type pausedReads struct {
	mu     sync.Mutex // guards everything below, and what a cursor in waits reads with
	waits  list.List  // of *storedCursor, the one that has waited longest first
	weight int64
}

// pause adds a cursor, unless it is there already or holds nothing.
func (p *pausedReads) pause(c *storedCursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.paused != nil || !c.holds {
		return
	}
	c.paused = p.waits.PushBack(c)
	for p.weight += c.weight(); p.weight > maxPaused; {
		oldest := p.waits.Front().Value.(*storedCursor)
		p.drop(oldest)
		oldest.release()
	}
}

// resume removes a cursor, whose goroutine may use it again.
func (p *pausedReads) resume(c *storedCursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.paused != nil {
		p.drop(c)
	}
}

func (p *pausedReads) drop(c *storedCursor) {
	p.waits.Remove(c.paused)
	p.weight -= c.weight()
	c.paused = nil
}
