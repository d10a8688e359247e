package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harness/log-service/bench/report"
)

// restart measures how soon a server with many open streams is ready:
// after an orderly stop, and after kill -9.
func restart(ctx context.Context, e *env) (report.Metrics, error) {
	if e.child == nil {
		return nil, errors.New("restarts need a server that bench started itself")
	}
	if err := openMany(ctx, e.t, e.n); err != nil {
		return nil, err
	}
	m := report.Metrics{}
	for _, how := range []struct {
		name  string
		grace time.Duration
	}{{"stopped", time.Minute}, {"killed", 0}} {
		begin := time.Now()
		if err := e.child.stop(how.grace); err != nil {
			return nil, err
		}
		m[how.name+"_stop_ms"] = report.Milliseconds(time.Since(begin))
		next, err := e.again(ctx)
		if err != nil {
			return nil, fmt.Errorf("start after it was %s: %w", how.name, err)
		}
		*e.child = *next
		*e.t = next.Target
		m[how.name+"_ready_ms"] = report.Milliseconds(next.ready)
		sizes, err := e.t.Sizes(ctx)
		if err != nil {
			return nil, err
		}
		if len(sizes) != e.n {
			return nil, fmt.Errorf("%d of %d streams are open after the server was %s", len(sizes), e.n, how.name)
		}
		mem, err := memoryOf(e.t.Pid)
		if err != nil {
			return nil, err
		}
		m["peak_mb"] = max(m["peak_mb"], float64(mem.peak)/(1<<20))
	}
	return m, nil
}
