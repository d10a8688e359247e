package stream

import "time"

// gathering decides whether the committer waits before it takes a group.
//
// Writers that push one batch after the other split into two camps: while one
// camp's group is being synced, the other's requests come in, and every sync
// serves half of them. Where a sync takes longer than the writers need to come
// back, waiting for all of them makes half as many syncs do the same work.
// Where it does not (few writers, or so many that their requests keep the
// processors busy), the wait fails, and is not tried again for a while.
type gathering struct {
	full  chan struct{} // the awaited appends are there; capacity 1
	timer *time.Timer

	// Owned by the committer.
	writers int           // that the last group and the time of its commit saw
	sync    time.Duration // the last commit took
	skip    int           // groups until the next try
	pause   int           // groups to skip after the next failure
}

const (
	// minPause and maxPause bound how many groups are not waited for after a
	// wait that failed: one failure in a thousand groups costs nothing.
	minPause, maxPause = 32, 1024
	// maxGather bounds the wait: it is latency for those who are there.
	maxGather = time.Millisecond
)

func newGathering() gathering {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return gathering{full: make(chan struct{}, 1), timer: t, pause: minPause}
}

// after notes what a commit saw.
func (x *gathering) after(writers int, took time.Duration) {
	x.writers, x.sync = writers, took
}

// await waits for the writers of the last group to come back, if that pays.
func (w *wal) await() {
	x := &w.gather
	if x.skip > 0 {
		x.skip--
		return
	}
	w.mu.Lock()
	if n := w.queue[0].calls; n == 0 || n >= x.writers || len(w.queue) > 1 || w.stopping {
		w.mu.Unlock()
		return
	}
	w.want = x.writers
	w.mu.Unlock()
	x.timer.Reset(min(x.sync, maxGather))
	select {
	case <-x.full:
		x.timer.Stop()
		x.pause = minPause
		return
	case <-x.timer.C:
	}
	w.mu.Lock()
	if w.want == 0 { // they came just now
		<-x.full
	}
	w.want = 0
	w.mu.Unlock()
	x.skip = x.pause
	x.pause = min(2*x.pause, maxPause)
}
