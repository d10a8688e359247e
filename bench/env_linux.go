package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// measure makes one measurement.
type measure func(ctx context.Context, e *env) (report.Metrics, error)

// env is what one measurement works with.
type env struct {
	t     *load.Target // the server, nil for what runs in this process
	child *child       // t when this program started it
	dir   string       // a folder of its own, on the file system that is measured
	quick bool
	n     int                                       // of the scenario's things: lines, streams, bytes
	again func(ctx context.Context) (*child, error) // starts child's server once more on the same folder
}

// span is how long a phase lasts; quick runs take a third.
func (e *env) span(d time.Duration) time.Duration {
	if e.quick {
		return d / 3
	}
	return d
}

// mark is a moment, with the CPU time that had been used until then.
type mark struct {
	at     time.Time
	server time.Duration
	self   time.Duration
}

// use is the difference between two marks.
type use struct {
	wall, server, self time.Duration
}

func (e *env) mark() (m mark, err error) {
	m.at = time.Now()
	if m.server, err = cpuOf(e.t); err != nil {
		return m, err
	}
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return m, fmt.Errorf("getrusage: %w", err)
	}
	m.self = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return m, nil
}

func (e *env) since(begin mark) (use, error) {
	now, err := e.mark()
	return use{now.at.Sub(begin.at), now.server - begin.server, now.self - begin.self}, err
}

// into adds the CPU seconds that a million of what took.
func (u use) into(m report.Metrics, what string, n float64) {
	if n <= 0 {
		return
	}
	m["client_cpu_s_per_m_"+what] = u.self.Seconds() * 1e6 / n
	if u.server > 0 {
		m["cpu_s_per_m_"+what] = u.server.Seconds() * 1e6 / n
	}
}
