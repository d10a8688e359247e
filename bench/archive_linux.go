package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// replay measures readers that start after all lines are stored.
func replay(readers int) measure {
	return func(ctx context.Context, e *env) (report.Metrics, error) {
		const key = "replay/log"
		if err := e.t.Open(ctx, key); err != nil {
			return nil, err
		}
		if _, err := fill(ctx, e.t, key, e.n); err != nil {
			return nil, err
		}
		begin, err := e.mark()
		if err != nil {
			return nil, err
		}
		c, err := newCrowd(e.t, key, readers)
		if err != nil {
			return nil, err
		}
		defer c.p.Close()
		c.expect(int64(e.n), 0)
		// A hundred readers of a million lines are 20 GB: they are stopped
		// after a while, and the lines received until then are counted.
		end := begin.at.Add(e.span(15 * time.Second))
		err = c.until(ctx, "the last line", func() bool { return c.wanted == readers || time.Now().After(end) })
		if err != nil {
			return nil, err
		}
		used, err := e.since(begin)
		if err != nil {
			return nil, err
		}
		m := report.Metrics{"lines_per_s": float64(c.frames()) / used.wall.Seconds(), "readers_done": float64(c.wanted)}
		used.into(m, "lines", float64(c.frames()))
		return m, e.t.Drop(ctx, key)
	}
}

// closing measures the time from the close of a long log until its archive
// exists, which may be after the close is answered.
func closing(ctx context.Context, e *env) (report.Metrics, error) {
	const key = "archive/log"
	if err := e.t.Open(ctx, key); err != nil {
		return nil, err
	}
	size, err := fill(ctx, e.t, key, e.n)
	if err != nil {
		return nil, err
	}
	begin, err := e.mark()
	if err != nil {
		return nil, err
	}
	if _, err := e.t.Call(ctx, "DELETE", load.StreamPath(key)+"&snapshot=true"); err != nil {
		return nil, err
	}
	answered := time.Since(begin.at)
	if err := untilArchived(ctx, e.t, key); err != nil {
		return nil, err
	}
	used, err := e.since(begin)
	if err != nil {
		return nil, err
	}
	m := report.Metrics{"lines_per_s": float64(e.n) / used.wall.Seconds(), "answered_ms": report.Milliseconds(answered)}
	used.into(m, "lines", float64(e.n))
	if e.t.Pid != 0 {
		mem, err := memoryOf(e.t.Pid)
		if err != nil {
			return nil, err
		}
		m["peak_mb"] = float64(mem.peak) / (1 << 20)
	}
	if m["archive_share"], err = archiveShare(ctx, e.t, key, size); err != nil {
		return nil, err
	}
	return m, readBack(ctx, e.t, key, int64(e.n), m)
}

// archiveShare is the stored size of an archive divided by the size of the log.
func archiveShare(ctx context.Context, t *load.Target, key string, raw int64) (float64, error) {
	c, err := load.Dial(ctx, t)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	size, _, err := c.Download(load.BlobPath(key), "Accept-Encoding: zstd\r\n")
	if err == nil && !c.A.Zstd {
		err = errors.New("the server does not give archives compressed")
	}
	return float64(size) / float64(raw), err
}

func untilArchived(ctx context.Context, t *load.Target, key string) error {
	for {
		there, err := t.Archived(ctx, key)
		if there || err != nil {
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for the archive of %s: %w", key, err)
		}
	}
}

// readBack downloads an archive and counts its lines.
func readBack(ctx context.Context, t *load.Target, key string, lines int64, m report.Metrics) error {
	c, err := load.Dial(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close()
	begin := time.Now()
	size, got, err := c.Download(load.BlobPath(key))
	if err != nil {
		return err
	}
	if got != lines {
		return fmt.Errorf("the archive of %s holds %d lines of %d", key, got, lines)
	}
	m["download_mb_per_s"] = float64(size) / 1e6 / time.Since(begin).Seconds()
	return nil
}
