package main

import (
	"context"
	"fmt"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// ingest measures writers that each send batches of lines to a log of their
// own, the next as soon as the last is acknowledged.
func ingest(writers, lines int) measure {
	return func(ctx context.Context, e *env) (report.Metrics, error) {
		w, err := newIngest(ctx, e, writers, lines)
		if err != nil {
			return nil, err
		}
		defer w.p.Close()
		m, err := w.run(ctx, e)
		if err != nil {
			return nil, err
		}
		return m, w.check(ctx, e)
	}
}

type ingestRun struct {
	p       *load.Poller
	writers []*ingestWriter
	times   *load.Histogram
	acked   int64 // lines, all
	stopped bool
	active  int // writers that wait for an answer
}

type ingestWriter struct {
	run  *ingestRun
	key  string
	b    *load.Batch
	s    *load.Sock
	a    load.Answer
	k    int64 // number of the batch
	sent time.Time
}

func newIngest(ctx context.Context, e *env, writers, lines int) (*ingestRun, error) {
	p, err := load.NewPoller()
	if err != nil {
		return nil, err
	}
	run := &ingestRun{p: p, times: new(load.Histogram)}
	log := load.NewBuildLog(load.TextSeed)
	for i := range writers {
		w := &ingestWriter{run: run, key: fmt.Sprintf("ingest/%d", i)}
		w.b = load.NewBatch(log, e.t.Host(), w.key, lines, false)
		w.s = &load.Sock{Data: w.receive}
		if err := e.t.Open(ctx, w.key); err != nil {
			return nil, err
		}
		if err := p.Dial(e.t.Addr, w.s); err != nil {
			return nil, err
		}
		run.writers = append(run.writers, w)
	}
	return run, nil
}

func (w *ingestWriter) next() error {
	w.b.Number(w.k)
	w.k++
	w.a.Reset()
	w.sent = time.Now()
	return w.run.p.Send(w.s, w.b.Request)
}

func (w *ingestWriter) receive(b []byte) error {
	if err := w.a.Feed(b); err != nil || !w.a.Done() {
		return err
	}
	if w.a.Status != 204 && w.a.Status != 200 {
		return fmt.Errorf("append to %s: status %d", w.key, w.a.Status)
	}
	w.run.times.Add(time.Since(w.sent))
	w.run.acked += int64(w.b.Lines)
	if w.run.stopped {
		w.run.active--
		return nil
	}
	return w.next()
}

func (r *ingestRun) run(ctx context.Context, e *env) (report.Metrics, error) {
	for _, w := range r.writers {
		if err := w.next(); err != nil {
			return nil, err
		}
		r.active++
	}
	if err := r.until(ctx, time.Now().Add(e.span(500*time.Millisecond))); err != nil {
		return nil, err
	}
	*r.times = load.Histogram{}
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
	m := report.Metrics{
		"lines_per_s":    lines / used.wall.Seconds(),
		"requests_per_s": lines / float64(r.writers[0].b.Lines) / used.wall.Seconds(),
	}
	used.into(m, "lines", lines)
	m.Latency("put_", r.times)
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
	return r.p.Wait(100 * time.Millisecond)
}

// check compares what the server says it holds with what it acknowledged.
func (r *ingestRun) check(ctx context.Context, e *env) error {
	if !e.t.Service {
		return nil
	}
	sizes, err := e.t.Sizes(ctx)
	if err != nil {
		return err
	}
	for _, w := range r.writers {
		if want := w.k * int64(w.b.Lines); sizes[w.key] != want {
			return fmt.Errorf("%s holds %d lines, %d were acknowledged", w.key, sizes[w.key], want)
		}
		if err := e.t.Drop(ctx, w.key); err != nil {
			return err
		}
	}
	return nil
}
