package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// DefaultSweep is how often Run looks at all streams: often enough that
	// an abandoned log is archived soon after its time, seldom enough that
	// 100,000 streams cost nothing.
	DefaultSweep = 5 * time.Second
	// stopWait bounds how long Run waits for work in flight: a server has
	// 25 s to stop.
	stopWait = 10 * time.Second
)

// Run does the background work until ctx ends: it finishes the archiving that
// a former run left, and closes streams whose time to live is over, archiving
// them marked incomplete. Without Run nothing of that happens, and nothing
// waits for the archiving that closes leave in the background. Call it once.
//
// Run returns nil once all background work has ended: work in flight gets at
// most 10 s after ctx ended, what is left then is taken up by the next start.
// So a server stops in this order: no new requests and none in flight; Run;
// the engine; the store.
func (s *Service) Run(ctx context.Context) error {
	t := time.NewTicker(s.sweeps)
	defer t.Stop()
	var expiring sync.WaitGroup
	defer expiring.Wait()
	expiring.Go(func() { s.expire(ctx) })
	var measuring sync.WaitGroup
	measuring.Go(func() { s.quota.run(ctx) })
	defer measuring.Wait()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("looking for abandoned streams failed", "error", err)
		}
		select {
		case <-t.C:
		case <-s.room:
		case <-ctx.Done():
			s.stop()
			return nil
		}
	}
}

func (s *Service) stop() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.endRetrying()
	done := make(chan struct{})
	go func() {
		s.jobsDone.Wait()
		close(done)
	}()
	t := time.NewTimer(stopWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
	s.endWork()
	<-done
}

// sweep closes the streams whose time is over and sees to it that every
// closed stream has a job, here or at another service.
func (s *Service) sweep(ctx context.Context) error {
	s.backlog.Store(false) // whoever leaves a stream from here on sets it again
	infos, err := s.streams.Due(ctx)
	if err != nil {
		s.backlog.Store(true)
		return err
	}
	b := s.Backlog(infos)
	s.metrics.waiting.Set(float64(b.Waiting))
	s.metrics.failing.Set(float64(b.Failing))
	err = s.closeAbandoned(ctx, infos)
	return errors.Join(err, s.resume(ctx, infos))
}

// closeAbandoned closes the open ones of infos whose time to live is over.
//
// No line of theirs may be lost. So they are archived also where a blob
// exists at their key: see archiveBeside.
func (s *Service) closeAbandoned(ctx context.Context, infos []logs.Info) error {
	var g errgroup.Group
	g.SetLimit(maxClosing)
	for i := range infos {
		info := &infos[i]
		if info.Closed || info.TTL > 0 {
			continue
		}
		g.Go(func() error {
			s.log.Info("closing an abandoned stream", "account", info.ID.Account, "key", info.ID.Key, "lines", info.Lines)
			s.metrics.abandoned.Inc()
			_, err := s.close(ctx, info.ID, logs.Closing{Archive: logs.ArchiveIfMissing, Incomplete: true})
			if errors.Is(err, logservice.ErrStreamNotFound) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// resume starts jobs for the closed ones of infos that have none.
//
// Since infos were made, a job may have deleted such a stream, and another
// may have been opened under its identity: that one must not be touched. So
// the identities are claimed first, and then the streams: what is closed then
// stays so, since only whoever claimed it may delete it.
func (s *Service) resume(ctx context.Context, infos []logs.Info) (err error) {
	for i := range infos {
		if !infos[i].Closed {
			continue
		}
		if s.full() {
			s.backlog.Store(true)
			break
		}
		id := infos[i].ID
		j, mine, _ := s.claim(id, infos[i].How)
		if !mine {
			continue
		}
		c, claimErr := s.streams.Claim(ctx, id)
		if claimErr != nil {
			if !errors.Is(claimErr, logservice.ErrStreamNotFound) && !errors.Is(claimErr, logs.ErrClaimed) {
				s.backlog.Store(true)
				err = claimErr
			}
			s.drop(id, j, claimErr)
			continue
		}
		j.how, j.stream = c.How(), c
		s.start(id, j)
	}
	return err
}

func (s *Service) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping || len(s.jobs) >= maxJobs
}
