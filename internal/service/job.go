package service

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// maxArchiving bounds the logs that are archived at once, each with a
	// frame or two in memory (about 1 MiB); more than there are processors,
	// since the store's syncs are shared.
	maxArchiving = 16
	// maxJobs bounds the jobs, most of which wait for the store when it is
	// down. Streams closed beyond it wait in the engine, durably, for Run to
	// find them.
	maxJobs = 1024
	// Retries of a failed job: the store's trouble is over in seconds, or
	// takes minutes.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
	// claimedRetry is how soon a job looks again at a stream that another
	// service archives, for those who wait for that.
	claimedRetry = 250 * time.Millisecond
	// releaseTime bounds giving a claim up.
	releaseTime = 2 * time.Second
)

// job is the work on a closed stream: archiving, then deleting it. At most
// one exists for an identity, and nobody deletes the stream without one.
type job struct {
	ctx    context.Context // ends the wait for the next attempt
	cancel context.CancelFunc

	how    logs.Closing  // set before closed is
	closed chan struct{} // closed once the stream is, durably, or err is set
	err    error         // why the stream could not be closed
	done   chan struct{} // closed when the job is over
	late   chan struct{} // closed when an attempt failed: the job will take its time

	// deleting says that the stream may be gone, and another one be there
	// under its identity. Guarded by Service.mu.
	deleting bool
	failing  bool // its last attempt failed; guarded by Service.mu
	isLate   bool // late is closed; guarded by Service.mu

	// Of the job's goroutine.
	stream   logs.Claim // nil: not yet claimed
	archived bool
}

// job returns the job of id, or nil.
func (s *Service) job(id logservice.ID) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[id]
}

// claim returns the job of id; mine where there was none before.
func (s *Service) claim(id logservice.ID, how logs.Closing) (j *job, mine, deleting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j = s.jobs[id]; j != nil {
		return j, false, j.deleting
	}
	j = &job{how: how, closed: make(chan struct{}), done: make(chan struct{}), late: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancel(s.retrying)
	s.jobs[id] = j
	return j, true, false
}

// drop ends a claimed job whose stream could not be closed, or needs nothing.
func (s *Service) drop(id logservice.ID, j *job, err error) {
	j.err = err
	close(j.closed)
	s.finish(id, j)
}

// start lets the claimed job of a closed stream work. Where there are too
// many, or the service stops, the job ends at once and the stream waits.
func (s *Service) start(id logservice.ID, j *job) {
	close(j.closed)
	s.quota.opened(id.Account, -1)
	s.mu.Lock()
	wait := s.stopping || len(s.jobs) > maxJobs
	if !wait {
		s.jobsDone.Add(1)
	}
	s.mu.Unlock()
	if wait {
		s.backlog.Store(true)
		s.finish(id, j)
		return
	}
	go func() {
		defer s.jobsDone.Done()
		s.work(id, j)
		if left := s.finish(id, j); left <= maxJobs/2 && s.backlog.Load() {
			select {
			case s.room <- struct{}{}:
			default: // Run knows already
			}
		}
	}()
}

func (s *Service) finish(id logservice.ID, j *job) (left int) {
	s.mu.Lock()
	delete(s.jobs, id)
	left = len(s.jobs)
	s.failing(j, false)
	s.mu.Unlock()
	j.cancel()
	close(j.done)
	return left
}

// work repeats the job until it succeeds, its log is replaced or deleted, or
// the service stops.
func (s *Service) work(id logservice.ID, j *job) {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = firstRetry, lastRetry
	_, err := backoff.Retry(j.ctx, func() (struct{}, error) {
		return struct{}{}, s.attempt(s.working, id, j)
	}, backoff.WithBackOff(b), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, next time.Duration) {
		if errors.Is(err, logs.ErrClaimed) {
			return // another service is at it
		}
		s.metrics.failed.Inc()
		s.failed(id, j, err, next)
	}))
	switch {
	case err != nil && s.retrying.Err() == nil: // a user has replaced or deleted the log
	case err != nil:
		s.backlog.Store(true)
		s.log.Info("a closed stream is left for the next start", "account", id.Account, "key", id.Key, "error", err)
		if j.stream != nil {
			ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
			defer cancel()
			j.stream.Release(ctx)
		}
	case j.archived:
		s.metrics.archived.Inc()
	}
}

func (s *Service) attempt(ctx context.Context, id logservice.ID, j *job) error {
	err := s.finishStream(ctx, id, j)
	switch {
	case errors.Is(err, logservice.ErrStreamNotFound):
		return nil // gone already: nothing is left to do
	case errors.Is(err, logs.ErrClaimed):
		// The other service will delete the stream, and then there may be
		// another one of that name.
		j.stream = nil
		s.mayDelete(j)
		return errors.Join(err, &backoff.RetryAfterError{Duration: claimedRetry})
	}
	return err
}

// finishStream claims, archives and deletes a closed stream; repeated, it
// goes on where it failed.
func (s *Service) finishStream(ctx context.Context, id logservice.ID, j *job) (err error) {
	if j.stream == nil {
		if j.stream, err = s.streams.Claim(ctx, id); err != nil {
			j.stream = nil
			return err
		}
	}
	if !j.archived {
		if err := s.archive(ctx, id, j.stream); err != nil {
			return err
		}
		j.archived = true
	}
	s.mayDelete(j)
	return j.stream.Delete(ctx)
}

func (s *Service) mayDelete(j *job) {
	s.mu.Lock()
	j.deleting = true
	s.mu.Unlock()
}
