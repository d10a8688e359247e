package service

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/backoff"
	"github.com/harness/log-service/internal/logs"
)

const (
	// Retries of a failed job: an outage of the store lasts seconds, or
	// minutes.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
	// claimedRetry is how soon those who wait for a job of another service
	// check again.
	claimedRetry = 250 * time.Millisecond
	// releaseTime bounds the release of a claim.
	releaseTime = 2 * time.Second
)

// resume starts a job for each closed stream of infos that has none.
//
// Since infos were made, a job may have deleted such a stream, and another
// may have been opened under its identity: that one must not be touched. So
// the identities are claimed first, and then the streams: what is closed then
// stays so, since only whoever claimed it may delete it.
func (c *closer) resume(ctx context.Context, infos []logs.Info) (err error) {
	for i := range infos {
		if !infos[i].Closed {
			continue
		}
		if c.jobs.full() {
			c.leave()
			break
		}
		id := infos[i].ID
		j, mine, _ := c.jobs.claim(id, infos[i].How)
		if !mine {
			continue
		}
		stream, claimErr := c.streams.Claim(ctx, id)
		if claimErr != nil {
			if !errors.Is(claimErr, logservice.ErrStreamNotFound) && !errors.Is(claimErr, logs.ErrClaimed) {
				c.leave()
				err = claimErr
			}
			c.drop(id, j, claimErr)
			continue
		}
		j.how, j.stream = stream.How(), stream
		c.start(id, j)
	}
	return err
}

// start starts the claimed job of a closed stream. If there are too many, or
// the service stops, the job ends at once and the stream waits.
func (c *closer) start(id logservice.ID, j *job) {
	close(j.closed)
	c.quota.opened(id.Account, -1)
	admitted := c.jobs.run(func() {
		c.work(id, j)
		if others := c.jobs.finish(id, j); others <= maxJobs/2 {
			c.wake()
		}
	})
	if !admitted {
		c.leave()
		c.jobs.finish(id, j)
	}
}

// work repeats the job until it succeeds, its log is replaced or deleted, or
// the service stops.
func (c *closer) work(id logservice.ID, j *job) {
	err := c.repeat(id, j)
	switch {
	case err != nil && c.jobs.retrying.Err() == nil: // a user has replaced or deleted the log
	case err != nil:
		c.leave()
		c.log.Info("a closed stream is left for the next start", "account", id.Account, "key", id.Key, "error", err)
		if j.stream != nil {
			ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
			defer cancel()
			j.stream.Release(ctx)
		}
	case j.archived:
		c.metrics.archived.Inc()
	}
}

// repeat attempts the job until it succeeds or its context ends.
func (c *closer) repeat(id logservice.ID, j *job) error {
	pauses := backoff.Backoff{First: firstRetry, Most: lastRetry}
	for {
		err := c.attempt(c.jobs.working, id, j)
		if err == nil {
			return nil
		}
		claimed := errors.Is(err, logs.ErrClaimed) // another service archives it
		if claimed {
			pauses.Reset()
		}
		pause := pauses.Next(0)
		if !claimed {
			c.metrics.failed.Inc()
			c.jobs.failed(id, j, err, pause)
		}
		if cause := backoff.Sleep(j.ctx, pause); cause != nil {
			return err
		}
	}
}

// attempt tries the job once: nil if nothing is left to do.
func (c *closer) attempt(ctx context.Context, id logservice.ID, j *job) error {
	err := c.finishStream(ctx, id, j)
	switch {
	case errors.Is(err, logservice.ErrStreamNotFound):
		return nil // already deleted: nothing is left to do
	case errors.Is(err, logs.ErrClaimed):
		// The other service will delete the stream, and then there may be
		// another one of that name.
		j.stream = nil
		c.jobs.setDeleting(j)
	}
	return err
}

// finishStream claims, archives and deletes a closed stream; called again, it
// continues where it failed.
func (c *closer) finishStream(ctx context.Context, id logservice.ID, j *job) (err error) {
	if j.stream == nil {
		if j.stream, err = c.streams.Claim(ctx, id); err != nil {
			j.stream = nil
			return err
		}
	}
	if !j.archived {
		if err := c.archiver.archive(ctx, id, j.stream); err != nil {
			return err
		}
		j.archived = true
	}
	c.jobs.setDeleting(j)
	return j.stream.Delete(ctx)
}

// drop ends a claimed job whose stream could not be closed, or needs nothing.
func (c *closer) drop(id logservice.ID, j *job, err error) {
	j.err = err
	close(j.closed)
	c.jobs.finish(id, j)
}
