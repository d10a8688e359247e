package main

import (
	"context"
	"fmt"
	"time"
)

// ingest measures writers that each send batches of lines to a log of their
// own, the next as soon as the last is acknowledged.
func ingest(writers, lines int) measure {
	return func(ctx context.Context, e *env) (metrics, error) {
		w, err := newIngest(ctx, e, writers, lines)
		if err != nil {
			return nil, err
		}
		defer w.p.close()
		m, err := w.run(ctx, e)
		if err != nil {
			return nil, err
		}
		return m, w.check(ctx, e)
	}
}

type ingestRun struct {
	p       *poller
	writers []*ingestWriter
	times   *histogram
	acked   int64 // lines, all
	stopped bool
	active  int // writers that wait for an answer
}

type ingestWriter struct {
	run  *ingestRun
	key  string
	b    *batch
	s    *sock
	a    answer
	k    int64 // number of the batch
	sent time.Time
}

func newIngest(ctx context.Context, e *env, writers, lines int) (*ingestRun, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	run := &ingestRun{p: p, times: new(histogram)}
	log := newBuildLog(textSeed)
	for i := range writers {
		w := &ingestWriter{run: run, key: fmt.Sprintf("ingest/%d", i)}
		w.b = newBatch(log, e.t.host(), w.key, lines, false)
		w.s = &sock{data: w.receive}
		if err := e.t.open(ctx, w.key); err != nil {
			return nil, err
		}
		if err := p.dial(e.t.addr, w.s); err != nil {
			return nil, err
		}
		run.writers = append(run.writers, w)
	}
	return run, nil
}

func (w *ingestWriter) next() error {
	w.b.number(w.k)
	w.k++
	w.a.reset()
	w.sent = time.Now()
	return w.run.p.send(w.s, w.b.request)
}

func (w *ingestWriter) receive(b []byte) error {
	if err := w.a.feed(b); err != nil || !w.a.done() {
		return err
	}
	if w.a.status != 204 && w.a.status != 200 {
		return fmt.Errorf("append to %s: status %d", w.key, w.a.status)
	}
	w.run.times.add(time.Since(w.sent))
	w.run.acked += int64(w.b.lines)
	if w.run.stopped {
		w.run.active--
		return nil
	}
	return w.next()
}

func (r *ingestRun) run(ctx context.Context, e *env) (metrics, error) {
	for _, w := range r.writers {
		if err := w.next(); err != nil {
			return nil, err
		}
		r.active++
	}
	if err := r.until(ctx, time.Now().Add(e.span(500*time.Millisecond))); err != nil {
		return nil, err
	}
	*r.times = histogram{}
	begin, err := e.mark()
	if err != nil {
		return nil, err
	}
	before := r.acked
	if err := r.until(ctx, begin.at.Add(e.span(3*time.Second))); err != nil {
		return nil, err
	}
	used, err := e.since(begin)
	if err != nil {
		return nil, err
	}
	lines := float64(r.acked - before)
	m := metrics{
		"lines_per_s":    lines / used.wall.Seconds(),
		"requests_per_s": lines / float64(r.writers[0].b.lines) / used.wall.Seconds(),
	}
	used.into(m, "lines", lines)
	m.latency("put_", r.times)
	r.stopped = true
	for r.active > 0 {
		if err := r.step(ctx); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (r *ingestRun) until(ctx context.Context, end time.Time) error {
	for time.Now().Before(end) {
		if err := r.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *ingestRun) step(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.p.wait(100 * time.Millisecond)
}

// check compares what the server says it holds with what it acknowledged.
func (r *ingestRun) check(ctx context.Context, e *env) error {
	if !e.t.service {
		return nil
	}
	sizes, err := e.t.sizes(ctx)
	if err != nil {
		return err
	}
	for _, w := range r.writers {
		if want := w.k * int64(w.b.lines); sizes[w.key] != want {
			return fmt.Errorf("%s holds %d lines, %d were acknowledged", w.key, sizes[w.key], want)
		}
		if err := e.t.drop(ctx, w.key); err != nil {
			return err
		}
	}
	return nil
}
