package service

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// takeWait is how long a writer waits for another service that is just
// putting an archive in its place.
const takeWait = 4 * time.Second

// replacing runs f, which stores or deletes the blob of id, while no other
// writer does. A closed stream of id that waits to be archived belongs to what
// f replaces: it is claimed before, so that nobody archives it over what f
// stores, and durably deleted after. Where f fails it waits as before. Between
// the two nothing is acknowledged, so a crash there may leave either.
func (s *Service) replacing(ctx context.Context, id logservice.ID, f func(old logs.Claim) error) error {
	done, err := s.turns.take(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	old, err := s.takeClosed(ctx, id)
	if err != nil {
		return err
	}
	if err := f(old); err != nil {
		if old != nil {
			old.Release(context.WithoutCancel(ctx))
		}
		return err
	}
	if old == nil {
		return nil
	}
	// The client may be gone, but the change is made.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return s.supersede(ctx, id, old)
}

// takeClosed claims the closed stream of id from whoever archives it; nil
// where there is none, nor will be one after a crash.
func (s *Service) takeClosed(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	limit := time.After(takeWait)
	for {
		c, err := s.streams.Take(ctx, id)
		switch {
		case err == nil:
			return c, nil
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

// errArchiving answers who must wait until a log is archived.
var errArchiving = &logservice.UnavailableError{Cause: errors.New("the log is still being archived"), RetryAfter: time.Second}

// supersede deletes a closed stream that was taken, and ends its job. Where it
// has none it gets one for the moment: what is closed under its identity then
// waits for that, and cannot be mistaken for it.
func (s *Service) supersede(ctx context.Context, id logservice.ID, old logs.Claim) error {
	j, mine, _ := s.claim(id, old.How())
	if mine {
		close(j.closed)
		defer s.finish(id, j)
	}
	s.mayDelete(j)
	err := old.Delete(ctx)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		err = nil // the archiver was faster: it is gone all the same
	}
	if err != nil {
		s.backlog.Store(true)
		return err
	}
	j.cancel()
	return nil
}

// archived waits until no closed stream of id waits to be archived, and sees
// to it that somebody is at it.
func (s *Service) archived(ctx context.Context, id logservice.ID) error {
	limit := time.After(turnWait)
	for {
		info, err := s.streams.Stat(ctx, id)
		if errors.Is(err, logservice.ErrStreamNotFound) || err == nil && !info.Pending() {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.resume(ctx, []logs.Info{info}); err != nil {
			return err
		}
		var done chan struct{}
		if j := s.job(id); j != nil {
			done = j.done
		}
		select {
		case <-done:
		case <-time.After(claimedRetry): // another service may be at it
		case <-limit:
			return errArchiving
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
