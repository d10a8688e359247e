package service

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// takeWait is how long a writer waits for another service that is about to
// store an archive.
const takeWait = 4 * time.Second

// replacing runs f, which deletes the blobs of id, while no other writer
// changes them. A closed stream of id that waits to be archived belongs to what
// f deletes: it is claimed first, so that nobody archives it again, and durably
// deleted afterwards. If f fails, it waits as before. Nothing is acknowledged
// in between, so a crash may leave either state.
func (b *blobs) replacing(ctx context.Context, id logservice.ID, f func() error) error {
	unlock, err := b.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := b.closer.takeClosed(ctx, id)
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		if old != nil {
			old.Release(context.WithoutCancel(ctx))
		}
		return err
	}
	if old == nil {
		return nil
	}
	// The client may have disconnected, but the change is made.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return b.closer.supersede(ctx, id, old)
}

// takeClosed claims the closed stream of id from whoever archives it; nil if
// there is none, even after a crash.
func (c *closer) takeClosed(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	limit := time.After(takeWait)
	for {
		claim, err := c.streams.Take(ctx, id)
		switch {
		case err == nil:
			return claim, nil
		case errors.Is(err, logservice.ErrStreamNotFound):
			return nil, nil
		case !errors.Is(err, logs.ErrClaimed):
			return nil, err
		}
		select {
		case <-time.After(claimedRetry):
		case <-limit:
			return nil, errArchiving
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// resumeTaken returns a taken stream to be archived.
func (c *closer) resumeTaken(ctx context.Context, id logservice.ID, claim logs.Claim) {
	claim.Release(ctx)
	info, err := c.streams.Stat(ctx, id)
	if err == nil {
		err = c.resume(ctx, []logs.Info{info})
	}
	if err != nil {
		c.leave() // Run finds it
	}
}

// supersede deletes a closed stream that was taken, and ends its job. A stream
// without a job gets one for that time: a stream closed under the same identity
// meanwhile waits for that job, and is not mistaken for it.
func (c *closer) supersede(ctx context.Context, id logservice.ID, old logs.Claim) error {
	j, mine, _ := c.jobs.claim(id, old.How())
	if mine {
		close(j.closed)
		defer c.jobs.finish(id, j)
	}
	c.jobs.setDeleting(j)
	err := old.Delete(ctx)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		err = nil // the archiver was faster: it is deleted either way
	}
	if err != nil {
		c.leave()
		return err
	}
	j.cancel()
	return nil
}

// awaitArchived waits until no closed stream of id waits to be archived, and
// makes sure that it has a job.
func (c *closer) awaitArchived(ctx context.Context, id logservice.ID) error {
	limit := time.After(lockWait)
	for {
		info, err := c.streams.Stat(ctx, id)
		if errors.Is(err, logservice.ErrStreamNotFound) || err == nil && !info.Pending() {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.resume(ctx, []logs.Info{info}); err != nil {
			return err
		}
		var done chan struct{}
		if j := c.jobs.get(id); j != nil {
			done = j.done
		}
		select {
		case <-done:
		case <-time.After(claimedRetry): // another service may have it
		case <-limit:
			return errArchiving
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errArchiving is the error of requests that must wait until a log is archived.
var errArchiving = &logservice.UnavailableError{Cause: errors.New("the log is still being archived"), RetryAfter: time.Second}
