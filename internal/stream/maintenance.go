package stream

import (
	"time"

	"github.com/harness/log-service/internal/stream/batches"
)

// idleMemory is how long a batch stays in memory even if the budget does not
// require its eviction: long enough for all followers, and for the close.
const idleMemory = 10 * time.Second

// poke wakes the maintenance goroutine: segments may have become free.
func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// maintain evicts idle memory, releases segments and prepares new ones, until
// Stop.
func (e *Engine) maintain() {
	defer close(e.maintained)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	expired := e.clock()
	for {
		select {
		case <-e.quit:
			return
		case <-tick.C:
			e.memory.Shrink()
			if now := e.clock(); now-expired >= batches.RecentTime/5 {
				expired = now
				e.expireRecent(now)
			}
			if e.wal != nil {
				e.memory.Idle(max(0, e.clock()-idleMemory))
				e.blocks.Idle(max(0, e.clock()-idleMemory))
			}
		case <-e.wake:
		}
		if e.wal != nil {
			e.wal.folder.refill()
			e.reclaim()
			e.wal.recover()
			e.prepare()
		}
	}
}

// prepare writes the file of the next segment in advance where that pays off.
func (e *Engine) prepare() {
	if !e.wal.wantsSpare() {
		return
	}
	if err := e.wal.makeSpare(); err != nil {
		e.log.Debug("cannot prepare a file for a later segment", "error", err)
	}
}
