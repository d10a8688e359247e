package stream

import "time"

// run is the committer. It ends when stop was called and everything is written.
func (w *wal) run() {
	defer close(w.done)
	idle := time.NewTimer(rosterIdle)
	for {
		select {
		case <-w.kick:
			if stopping := w.drain(); stopping {
				w.commitRoster()
				return
			}
		case <-idle.C:
			w.commitRoster()
		}
		if w.isFailing() {
			idle.Reset(retryPause)
		} else if len(w.roster.changed) > 0 {
			idle.Reset(rosterIdle)
		}
	}
}

// drain commits all staged groups.
func (w *wal) drain() (stopping bool) {
	for {
		w.await()
		g, stopping := w.take()
		if g == nil {
			return stopping
		}
		began := w.clock()
		w.commit(g)
		w.mu.Lock()
		w.writing = nil
		w.delay.observe(g.calls+w.waiting(), w.clock()-began)
		w.mu.Unlock()
	}
}

// commitRoster writes the changes in a group of its own. After a failure it
// also finds out whether the log can be written again.
func (w *wal) commitRoster() {
	if len(w.roster.changed) == 0 && !w.isFailing() || w.isFull() {
		return
	}
	w.mu.Lock()
	g := w.newGroup(0)
	w.mu.Unlock()
	if w.current != nil {
		g.moveTo(len(w.tail), int(w.block))
		g.fillBlock(int(w.block))
	}
	w.roster.at = w.clock() - rosterPause // due
	w.commit(g)
}

// take removes the oldest group from the queue. It returns nil if there is
// nothing to write.
func (w *wal) take() (g *group, stopping bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g = w.queue[0]
	if len(g.items) == 0 {
		return nil, w.stopping
	}
	if len(w.queue) == 1 {
		w.begin(w.leadAfter(g))
	}
	w.queue = append(w.queue[:0], w.queue[1:]...)
	w.writing = g
	return g, false
}

// leadAfter is the offset in its block at which a group will begin that follows
// g, the next one to be written.
func (w *wal) leadAfter(g *group) int64 {
	if !w.takes(g) {
		return (segmentHeader + g.size()) % w.block
	}
	return (w.current.used + g.size()) % w.block
}

// takes reports whether g may be written to the current segment. One that was the
// reserve is for what frees space alone, also once the disk has space again.
func (w *wal) takes(g *group) bool {
	return w.current != nil && w.fits(g) && (!w.current.reserve || g.onlyFrees())
}

func (w *wal) fits(g *group) bool { return w.current.used+g.size() <= w.current.size }

// waiting is how many appends are staged. The caller holds w.mu.
func (w *wal) waiting() (calls int) {
	for _, g := range w.queue {
		calls += g.calls
	}
	return calls
}

func (w *wal) commit(g *group) {
	began := w.clock()
	w.began.Store(int64(began))
	err := w.write(g, began)
	now := w.clock()
	w.began.Store(0)
	if err != nil {
		w.metrics.failures.Inc()
		w.roster.dropped()
		w.fail(g, err)
		return
	}
	w.roster.written(now)
	w.metrics.committed(g.calls, int(g.size()), now-began)
	w.applied(g)
	w.mu.Lock()
	w.refusal.failure = nil
	if cap(g.buf) <= keepBuffer && len(w.buffers) < keepBuffers {
		w.buffers = append(w.buffers, g.buf)
	}
	w.mu.Unlock()
	g.buf = nil
	close(g.done)
}

// write makes g durable. A failed write or sync ends the current segment for
// good: what it left on disk is unknown. The number of its group is used again
// in the next segment, whose header says so to a replay.
//
// Whole blocks are written, so that the disk can take them directly from our
// memory: the block in which the last group ended is written again.
func (w *wal) write(g *group, now time.Duration) error {
	rotating := !w.takes(g)
	if (rotating || now-w.roster.at >= rosterPause) && !w.isFull() {
		w.roster.appendTo(g, int(w.block), rotating)
	}
	if !w.takes(g) {
		if err := w.rotate(g); err != nil {
			return err
		}
	}
	seg := w.current
	g.moveTo(len(w.tail), int(w.block))
	copy(g.buf, w.tail)
	next := w.nextGroup + 1
	if at := g.lead + g.second; g.second > 0 {
		putGroup(g.buf[g.lead:at], seg.number, w.nextGroup)
		putGroup(g.buf[at:], seg.number, next)
		next++
	} else {
		putGroup(g.buf[g.lead:], seg.number, w.nextGroup)
	}
	n := len(g.buf)
	blocks := g.buf[:w.roundUp(int64(n))]
	clear(blocks[n:])
	_, err := seg.file.WriteAt(blocks, seg.used-int64(g.lead))
	if err == nil {
		err = seg.file.Sync()
	}
	if err != nil {
		w.seal(seg, true)
		w.current = nil
		w.left.Store(0)
		return err
	}
	g.seg, g.base = seg, seg.used
	seg.used += g.size()
	w.left.Store(seg.size - seg.used)
	w.tail = append(w.tail[:0], g.buf[n-n%int(w.block):]...)
	w.nextGroup = next
	w.groups++
	return nil
}

func (w *wal) roundUp(n int64) int64 { return (n + w.block - 1) / w.block * w.block }
