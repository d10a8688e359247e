package main

import (
	"context"
	"fmt"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// oneByOne measures one reader on an idle machine: the time from sending one
// line to its receipt, the next only when it has come.
func oneByOne(ctx context.Context, e *env) (report.Metrics, error) {
	const key = "single/log"
	if err := e.t.Open(ctx, key); err != nil {
		return nil, err
	}
	w, err := load.Dial(ctx, e.t)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	r, err := load.Dial(ctx, e.t)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tl := &load.Tail{Every: 1}
	r.A.OnBody = tl.Feed
	if err := r.Start(load.Request("GET", load.StreamPath(key), e.t.Host())); err != nil {
		return nil, err
	}
	for tl.Pings == 0 {
		if err := r.Read(); err != nil {
			return nil, err
		}
		if r.A.Done() {
			return nil, fmt.Errorf("the tail is refused with status %d", r.A.Status)
		}
	}
	received, answered := new(load.Histogram), new(load.Histogram)
	b := load.NewBatch(load.NewBuildLog(load.TextSeed), e.t.Host(), key, 1, true)
	for k := range int64(e.n) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b.Number(k)
		sent := time.Now()
		b.Stamp(sent.UnixNano())
		if err := w.Start(b.Request); err != nil {
			return nil, err
		}
		if err := readBoth(w, r, tl, k+1, sent, answered, received); err != nil {
			return nil, fmt.Errorf("line %d: %w", k+1, err)
		}
	}
	m := report.Metrics{}
	m.Latency("", received)
	m.Latency("put_", answered)
	return m, e.t.Drop(ctx, key)
}

// readBoth waits for the answer of w and for line last at r. Each has its
// goroutine, because either may come first.
func readBoth(w, r *load.Conn, tl *load.Tail, last int64, sent time.Time, answered, received *load.Histogram) error {
	done := make(chan error, 1)
	go func() {
		err := w.Finish()
		answered.Add(time.Since(sent))
		done <- err
	}()
	var err error
	for tl.Last < last && err == nil {
		err = r.Read()
	}
	received.Add(time.Since(sent))
	if err2 := <-done; err2 != nil {
		return err2
	}
	return err
}
