package service

import (
	"context"
	"log/slog"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// maxJobs bounds the jobs, most of which wait for the store when it is
// down. Streams closed beyond it wait in the engine, durably, for Run to
// find them.
const maxJobs = 1024

// stopWait bounds how long stop waits for work in flight: a server has 25 s
// to stop.
const stopWait = 10 * time.Second

// jobs is the table of jobs, at most one per identity. It ends them when the
// service stops.
type jobs struct {
	log *slog.Logger
	// retrying ends when no job is tried again, working when stop no longer
	// waits for attempts in flight.
	retrying, working       context.Context
	endRetrying, endWorking context.CancelFunc
	running                 sync.WaitGroup // the jobs that were admitted

	mu       sync.Mutex // guards what follows, and some of each job
	byID     map[logservice.ID]*job
	failing  int  // jobs whose last attempt failed
	stopping bool // no job is admitted
}

func newJobs(c Config) *jobs {
	t := &jobs{log: c.Logger, byID: make(map[logservice.ID]*job)}
	t.retrying, t.endRetrying = context.WithCancel(context.Background())
	t.working, t.endWorking = context.WithCancel(context.Background())
	return t
}

// Backlog is what waits to be archived.
type Backlog struct {
	Waiting int // closed streams that are not archived yet
	Failing int // of these, those whose archiving failed and is tried again
}

// Backlog counts the closed ones of infos, which List made. They stay
// readable meanwhile.
func (t *jobs) Backlog(infos []logs.Info) (b Backlog) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range infos {
		if !infos[i].Closed {
			continue
		}
		b.Waiting++
		if j := t.byID[infos[i].ID]; j != nil && j.failing {
			b.Failing++
		}
	}
	return b
}

// claim returns the job of id; mine reports whether this call created it.
func (t *jobs) claim(id logservice.ID, how logs.Closing) (j *job, mine, deleting bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if j = t.byID[id]; j != nil {
		return j, false, j.deleting
	}
	j = &job{how: how, closed: make(chan struct{}), done: make(chan struct{}), late: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancel(t.retrying)
	t.byID[id] = j
	return j, true, false
}

// get returns the job of id, or nil.
func (t *jobs) get(id logservice.ID) *job {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

// full reports whether there is no capacity for another job.
func (t *jobs) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopping || len(t.byID) >= maxJobs
}

// run starts the work of a claimed job, which stop waits for. It returns false,
// and starts nothing, if there are too many jobs or the service stops.
func (t *jobs) run(work func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopping || len(t.byID) > maxJobs {
		return false
	}
	t.running.Go(work)
	return true
}

// setDeleting records that the stream of j may be deleted from now on.
func (t *jobs) setDeleting(j *job) {
	t.mu.Lock()
	j.deleting = true
	t.mu.Unlock()
}

// failed records that an attempt of a job failed. The first failure of an
// outage is logged as a warning; later ones, perhaps thousands, only for
// debugging.
func (t *jobs) failed(id logservice.ID, j *job, err error, next time.Duration) {
	t.mu.Lock()
	level := slog.LevelDebug
	if t.failing == 0 {
		level = slog.LevelWarn
	}
	t.setFailing(j, true)
	if !j.isLate {
		j.isLate = true
		close(j.late)
	}
	t.mu.Unlock()
	t.log.Log(context.Background(), level, "archiving a log failed: its stream is kept, and it is tried again",
		"account", id.Account, "key", id.Key, "error", err, "retry_in", next)
}

// finish ends a job and removes it; others is how many remain.
func (t *jobs) finish(id logservice.ID, j *job) (others int) {
	t.mu.Lock()
	delete(t.byID, id)
	others = len(t.byID)
	t.setFailing(j, false)
	t.mu.Unlock()
	j.cancel()
	close(j.done)
	return others
}

// setFailing records how the last attempt of a job ended. The caller holds mu.
func (t *jobs) setFailing(j *job, failing bool) {
	switch {
	case failing && !j.failing:
		t.failing++
	case !failing && j.failing:
		if t.failing--; t.failing == 0 && !t.stopping {
			t.log.Info("no log is left whose archiving failed")
		}
	}
	j.failing = failing
}

// stop ends the jobs: waiting ones at once, running ones after stopWait at the
// latest.
func (t *jobs) stop() {
	t.mu.Lock()
	t.stopping = true
	t.mu.Unlock()
	t.endRetrying()
	done := make(chan struct{})
	go func() {
		t.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	t.endWorking()
	<-done
}
