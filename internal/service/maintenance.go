package service

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// maintenance is the background work of a service: it closes abandoned streams
// and resumes unfinished archiving.
type maintenance struct {
	streams   logs.Streams
	closer    *closer
	quota     *quota
	retention *retention
	every     time.Duration // Config.MaintenanceInterval
	log       *slog.Logger
	metrics   *metrics
}

func newMaintenance(c Config, x *closer, q *quota, m *metrics) *maintenance {
	return &maintenance{
		streams: c.Streams, closer: x, quota: q, retention: newRetention(c, m),
		every: c.MaintenanceInterval, log: c.Logger, metrics: m,
	}
}

// Run does the background work until ctx ends: it finishes archiving that an
// earlier process left, and closes streams whose lifetime has passed, which are
// archived and marked incomplete. Only Run does this, and only Run waits for
// the archiving that Close leaves in the background. Call it once.
//
// Run returns nil once all background work has ended: work in flight gets at
// most 10 s after ctx ended; the next start resumes what is left then.
// Therefore a server stops in this order: no new requests and none in flight;
// Run; the engine; the store.
func (m *maintenance) Run(ctx context.Context) error {
	t := time.NewTicker(m.every)
	defer t.Stop()
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() { m.retention.run(ctx) })
	others.Go(func() { m.closer.archiver.stored.removeStaged(ctx) })
	others.Go(func() { m.quota.run(ctx) })
	for {
		if err := m.once(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("searching for abandoned streams failed", "error", err)
		}
		select {
		case <-t.C:
		case <-m.closer.capacity:
		case <-ctx.Done():
			m.closer.jobs.stop()
			return nil
		}
	}
}

// once closes the streams whose time to live is over, and starts a job for
// every closed stream that has none, here or at another service.
func (m *maintenance) once(ctx context.Context) error {
	m.closer.takeLeft()
	infos, err := m.streams.Due(ctx)
	if err != nil {
		m.closer.leave()
		return err
	}
	b := m.closer.jobs.Backlog(infos)
	m.metrics.waiting.Set(float64(b.Waiting))
	m.metrics.failing.Set(float64(b.Failing))
	err = m.closeAbandoned(ctx, infos)
	return errors.Join(err, m.closer.resume(ctx, infos))
}

// closeAbandoned closes the open streams of infos whose time to live is over.
//
// None of their lines may be lost: they are archived as attempts, marked
// incomplete.
func (m *maintenance) closeAbandoned(ctx context.Context, infos []logs.Info) error {
	var g errgroup.Group
	g.SetLimit(maxClosing)
	for i := range infos {
		info := &infos[i]
		if info.Closed || info.TTL > 0 {
			continue
		}
		g.Go(func() error {
			m.log.Info("closing an abandoned stream", "account", info.ID.Account, "key", info.ID.Key, "lines", info.Lines)
			m.metrics.abandoned.Inc()
			_, err := m.closer.close(ctx, info.ID, logs.Closing{Archive: logs.ArchiveIfMissing, Incomplete: true})
			if errors.Is(err, logservice.ErrStreamNotFound) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}
