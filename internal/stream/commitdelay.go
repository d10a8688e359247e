package stream

import "time"

// commitDelay decides whether the committer waits before it takes a group.
//
// Writers that push one batch after the other split into two halves: while the
// group of one half is synced, the requests of the other arrive, so every sync
// serves half of the writers. If a sync takes longer than the writers need to
// return, waiting for all of them halves the number of syncs. Otherwise (few
// writers, or so many that their requests keep the processors busy) the wait
// fails, and is not tried again for a while.
type commitDelay struct {
	full  chan struct{} // receives when all awaited appends are staged; capacity 1
	timer *time.Timer

	// Owned by the committer.
	writers int           // seen by the last group and during its commit
	sync    time.Duration // duration of the last commit
	skip    int           // groups until the next try
	pause   int           // groups to skip after the next failure
}

const (
	// minPause and maxPause limit how many groups are not waited for after a
	// failed wait: one failure in a thousand groups costs nothing.
	minPause, maxPause = 32, 1024
	// maxCommitDelay limits the wait: it adds latency for the writers that have
	// already staged.
	maxCommitDelay = time.Millisecond
)

func newCommitDelay() commitDelay {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return commitDelay{full: make(chan struct{}, 1), timer: t, pause: minPause}
}

// observe records what a commit saw.
func (x *commitDelay) observe(writers int, took time.Duration) {
	x.writers, x.sync = writers, took
}

// await waits for the writers of the last group to return, if that pays off.
func (w *wal) await() {
	x := &w.delay
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
	x.timer.Reset(min(x.sync, maxCommitDelay))
	select {
	case <-x.full:
		x.timer.Stop()
		x.pause = minPause
		return
	case <-x.timer.C:
	}
	w.mu.Lock()
	if w.want == 0 { // they have just arrived
		<-x.full
	}
	w.want = 0
	w.mu.Unlock()
	x.skip = x.pause
	x.pause = min(2*x.pause, maxPause)
}
