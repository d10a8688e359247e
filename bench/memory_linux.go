package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// openers is how many connections open streams side by side.
const openers = 16

// each runs do for 0 to n-1 on a few connections at once.
func each(ctx context.Context, t *load.Target, n, workers int, do func(c *load.Conn, i int) error) error {
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			c, err := load.Dial(ctx, t)
			if err != nil {
				errs[w] = err
				return
			}
			defer c.Close()
			for i := w; i < n && errs[w] == nil; i += workers {
				if err := ctx.Err(); err != nil {
					errs[w] = err
				} else {
					errs[w] = do(c, i)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func openMany(ctx context.Context, t *load.Target, n int) error {
	host := t.Host()
	return each(ctx, t, n, openers, func(c *load.Conn, i int) error {
		return c.Send(load.Request("POST", load.StreamPath(fmt.Sprintf("project/%d/build/compile", i)), host))
	})
}

// grown runs do and returns by how much the server's memory grew, once it is
// stable.
func grown(ctx context.Context, e *env, do func() error) (float64, error) {
	if e.t.Pid == 0 {
		return 0, errors.New("memory needs a server that bench started itself")
	}
	before, err := calm(ctx, e.t.Pid)
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := calm(ctx, e.t.Pid)
	return float64(after.anon - before.anon), err
}

// idleStreams measures what an open stream costs that nobody writes or reads.
func idleStreams(ctx context.Context, e *env) (report.Metrics, error) {
	bytes, err := grown(ctx, e, func() error { return openMany(ctx, e.t, e.n) })
	if err != nil {
		return nil, err
	}
	m, err := memoryOf(e.t.Pid)
	return report.Metrics{"kb_per_stream": bytes / 1024 / float64(e.n), "peak_mb": float64(m.peak) / (1 << 20)}, err
}

// idleTailers measures what a reader costs that has received all lines.
func idleTailers(ctx context.Context, e *env) (report.Metrics, error) {
	const key = "memory/tailers"
	const lines = 1000
	if err := e.t.Open(ctx, key); err != nil {
		return nil, err
	}
	if _, err := fill(ctx, e.t, key, lines); err != nil {
		return nil, err
	}
	var c *crowd
	bytes, err := grown(ctx, e, func() (err error) {
		if c, err = newCrowd(e.t, key, e.n); err != nil {
			return err
		}
		c.expect(lines, 0)
		return c.until(ctx, "the last line", func() bool { return c.wanted == e.n })
	})
	if c != nil {
		c.p.Close()
	}
	return report.Metrics{"kb_per_tailer": bytes / 1024 / float64(e.n)}, err
}

// idleLines measures what a line costs once its log is idle.
func idleLines(ctx context.Context, e *env) (report.Metrics, error) {
	const logs = 20
	var sent int64
	bytes, err := grown(ctx, e, func() error {
		for i := range logs {
			key := fmt.Sprintf("memory/lines/%d", i)
			if err := e.t.Open(ctx, key); err != nil {
				return err
			}
			n, err := fill(ctx, e.t, key, e.n/logs)
			if err != nil {
				return err
			}
			sent += n
		}
		return nil
	})
	return report.Metrics{"bytes_per_line": bytes / float64(e.n), "json_bytes_per_line": float64(sent) / float64(e.n)}, err
}
