package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// smallLogs measures whole lives: open, five pushes of twenty lines, close
// with archive; sixteen side by side.
func smallLogs(ctx context.Context, e *env) (report.Metrics, error) {
	const pushes, lines, workers = 5, 20, 16
	host := e.t.Host()
	log := load.NewBuildLog(load.TextSeed)
	// Batches are prepared for a key of fixed length; each log patches its own
	// number in.
	batches := make([]*load.Batch, workers*pushes)
	for i := range batches {
		batches[i] = load.NewBatch(log, host, lifeKey(0), lines, false)
	}
	var steps lifeSteps
	before, _ := diskUse(e.t.Dir)
	begin, err := e.mark()
	if err != nil {
		return nil, err
	}
	err = each(ctx, e.t, e.n, workers, func(c *load.Conn, i int) error {
		return steps.life(c, host, i, batches[i%workers*pushes:][:pushes])
	})
	if err != nil {
		return nil, err
	}
	if err := untilQuiet(ctx, e.t); err != nil {
		return nil, err
	}
	used, err := e.since(begin)
	if err != nil {
		return nil, err
	}
	m := report.Metrics{"logs_per_s": float64(e.n) / used.wall.Seconds()}
	used.into(m, "logs", float64(e.n))
	m.Latency("open_", &steps.open)
	m.Latency("put_", &steps.put)
	m.Latency("close_", &steps.close)
	for i := 0; i < e.n; i += max(1, e.n/20) {
		if err := readBack(ctx, e.t, lifeKey(i), pushes*lines, report.Metrics{}); err != nil {
			return nil, err
		}
	}
	if e.t.Dir != "" {
		stored, err := storeUse(e.t.Dir)
		if err != nil {
			return nil, err
		}
		m["archive_bytes_per_log"] = float64(stored) / float64(e.n)
		all, err := diskUse(e.t.Dir)
		if err != nil {
			return nil, err
		}
		m["disk_bytes_per_log"] = float64(all-before) / float64(e.n)
	}
	return m, nil
}

// storeUse is the disk use of the finished logs of a server: without the
// store's reserve, whose size does not depend on them.
func storeUse(dir string) (used int64, err error) {
	for path, sign := range map[string]int64{"blobs.db": 1, "blobs": 1, "blobs/reserve": -1} {
		n, err := diskUse(filepath.Join(dir, path))
		if err != nil {
			return 0, err
		}
		used += sign * n
	}
	return used, nil
}

func lifeKey(i int) string { return fmt.Sprintf("life/%07d/build/step", i) }

// lifeSteps are the times of the calls of all workers.
type lifeSteps struct {
	mu               sync.Mutex // guards the three below
	open, put, close load.Histogram
}

func (s *lifeSteps) life(c *load.Conn, host string, i int, batches []*load.Batch) error {
	key := lifeKey(i)
	if err := s.step(c, &s.open, load.Request("POST", load.StreamPath(key), host)); err != nil {
		return fmt.Errorf("open %s: %w", key, err)
	}
	for k, b := range batches {
		b.Rename(key)
		b.Number(int64(k))
		if err := s.step(c, &s.put, b.Request); err != nil {
			return fmt.Errorf("append to %s: %w", key, err)
		}
	}
	if err := s.step(c, &s.close, load.Request("DELETE", load.StreamPath(key), host)); err != nil {
		return fmt.Errorf("close %s: %w", key, err)
	}
	return nil
}

func (s *lifeSteps) step(c *load.Conn, h *load.Histogram, request []byte) error {
	at := time.Now()
	err := c.Send(request)
	took := time.Since(at)
	s.mu.Lock()
	h.Add(took)
	s.mu.Unlock()
	return err
}

// untilQuiet waits until no stream is left: all are archived.
func untilQuiet(ctx context.Context, t *load.Target) error {
	for {
		sizes, err := t.Sizes(ctx)
		if len(sizes) == 0 || err != nil {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %d logs to be archived: %w", len(sizes), err)
		}
	}
}
