package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// grpcPush measures writers that each keep batches in flight to a log of their
// own.
type grpcPush struct{ writers, lines int }

func (p grpcPush) measure(ctx context.Context, e *env) (report.Metrics, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var writers []*load.GrpcWriter
	for i := range p.writers {
		key := fmt.Sprintf("grpc/%d", i)
		if err := e.t.Open(ctx, key); err != nil {
			return nil, err
		}
		w, err := load.NewGRPCWriter(ctx, e.t, key, p.lines)
		if err != nil {
			return nil, err
		}
		defer w.Conn.Close()
		writers = append(writers, w)
	}
	stop := make(chan struct{})
	ended := make(chan error, len(writers))
	for _, w := range writers {
		go func() { ended <- w.Run(stop) }()
	}
	m, err := p.count(ctx, e, writers)
	close(stop)
	for range writers {
		err = errors.Join(err, <-ended)
	}
	if err != nil || !e.t.Service {
		return m, err
	}
	return m, checkGRPC(ctx, e, writers)
}

// count measures for a while, after a while.
func (p grpcPush) count(ctx context.Context, e *env, writers []*load.GrpcWriter) (report.Metrics, error) {
	if err := pause(ctx, e.span(500*time.Millisecond)); err != nil {
		return nil, err
	}
	for _, w := range writers {
		w.Take()
	}
	begin, err := e.mark()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, e.span(3*time.Second)); err != nil {
		return nil, err
	}
	used, err := e.since(begin)
	if err != nil {
		return nil, err
	}
	all, total := new(load.Histogram), int64(0)
	for _, w := range writers {
		lines, times := w.Take()
		total += lines
		all.Join(times)
	}
	m := report.Metrics{"lines_per_s": float64(total) / used.wall.Seconds()}
	used.into(m, "lines", float64(total))
	m.PerCore()
	m.Latency("put_", all)
	return m, nil
}

// checkGRPC compares what the server says it holds with what was sent and
// acknowledged.
func checkGRPC(ctx context.Context, e *env, writers []*load.GrpcWriter) error {
	sizes, err := e.t.Sizes(ctx)
	if err != nil {
		return err
	}
	for _, w := range writers {
		if want := w.K * int64(w.Lines); sizes[w.Key] != want {
			return fmt.Errorf("%s holds %d lines, %d were acknowledged", w.Key, sizes[w.Key], want)
		}
		if err := e.t.Drop(ctx, w.Key); err != nil {
			return err
		}
	}
	return nil
}
