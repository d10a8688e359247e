package main

import (
	"context"
	"fmt"
	"time"
)

// oneByOne measures one reader on an idle machine: the time from sending one
// line to its receipt, the next only when it has come.
func oneByOne(ctx context.Context, e *env) (metrics, error) {
	const key = "single/log"
	if err := e.t.open(ctx, key); err != nil {
		return nil, err
	}
	w, err := dial(ctx, e.t)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r, err := dial(ctx, e.t)
	if err != nil {
		return nil, err
	}
	defer r.close()
	tl := &tail{every: 1}
	r.a.onBody = tl.feed
	if err := r.start(request("GET", streamPath(key), e.t.host())); err != nil {
		return nil, err
	}
	for tl.pings == 0 {
		if err := r.read(); err != nil {
			return nil, err
		}
		if r.a.done() {
			return nil, fmt.Errorf("the tail is refused with status %d", r.a.status)
		}
	}
	received, answered := new(histogram), new(histogram)
	b := newBatch(newBuildLog(textSeed), e.t.host(), key, 1, true)
	for k := range int64(e.n) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b.number(k)
		sent := time.Now()
		b.stamp(sent.UnixNano())
		if err := w.start(b.request); err != nil {
			return nil, err
		}
		if err := readBoth(w, r, tl, k+1, sent, answered, received); err != nil {
			return nil, fmt.Errorf("line %d: %w", k+1, err)
		}
	}
	m := metrics{}
	m.latency("", received)
	m.latency("put_", answered)
	return m, e.t.drop(ctx, key)
}

// readBoth waits for the answer of w and for line last at r. Each has its
// goroutine, because either may come first.
func readBoth(w, r *conn, tl *tail, last int64, sent time.Time, answered, received *histogram) error {
	done := make(chan error, 1)
	go func() {
		err := w.finish()
		answered.add(time.Since(sent))
		done <- err
	}()
	var err error
	for tl.last < last && err == nil {
		err = r.read()
	}
	received.add(time.Since(sent))
	if err2 := <-done; err2 != nil {
		return err2
	}
	return err
}
