package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/ref"
	"github.com/harness/log-service/bench/report"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

// grpcFillLines makes batches of about the size of a tail's messages.
const grpcFillLines = 300

// fillGRPC pushes about n lines to a log, and returns their number.
func fillGRPC(ctx context.Context, t *load.Target, key string, n int) (total int64, err error) {
	w, err := load.NewGRPCWriter(ctx, t, key, grpcFillLines)
	if err != nil {
		return 0, err
	}
	defer w.Conn.Close()
	received := make(chan error, 1)
	go func() { received <- w.Receive() }()
	for total < int64(n) {
		<-w.Slots
		if err := w.Send(); err != nil {
			return 0, errors.Join(err, <-received)
		}
		total += grpcFillLines
	}
	return total, errors.Join(w.Push.CloseSend(), <-received)
}

// grpcReader checks the lines of a log as they arrive: each once and in order.
type grpcReader struct {
	last    int64
	want    int64 // the last line
	every   int64 // lines of which last%every is 0 carry a stamp; 0: none
	onStamp func(sent, now int64)
}

// read follows key over a connection of its own, until want has arrived; ready
// is called once the server has answered.
func (r *grpcReader) read(ctx context.Context, t *load.Target, key string, ready func()) error {
	conn, c, err := load.DialGRPC(t)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := c.Tail(ctx, &pb.TailRequest{Account: load.Account, Key: key})
	if err != nil {
		return err
	}
	for r.last < r.want {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("tail of %s after line %d: %w", key, r.last, err)
		}
		if m.GetBegin() != nil {
			ready()
			continue
		}
		if err := r.take(m.GetBatch()); err != nil {
			return err
		}
	}
	return nil
}

func (r *grpcReader) take(b *pb.TailBatch) error {
	if b.GetFirstSequence() != r.last+1 {
		return fmt.Errorf("line %d after line %d", b.GetFirstSequence(), r.last)
	}
	now := time.Now().UnixNano()
	for data := b.GetLines(); len(data) > 0; {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		data = rest
		r.last++
		if len(line) == 0 || line[0] != '{' || line[len(line)-1] != '}' {
			return fmt.Errorf("line %d is cut: %.80q", r.last, line)
		}
		if r.every == 0 || r.last%r.every != 0 {
			continue
		}
		sent, ok := load.Number(line, `"out":"@`, load.StampBytes)
		if !ok {
			return fmt.Errorf("line %d carries no stamp: %.80q", r.last, line)
		}
		r.onStamp(sent, now)
	}
	if r.last != b.GetFirstSequence()+b.GetCount()-1 {
		return fmt.Errorf("a batch of %d lines ends at line %d", b.GetCount(), r.last)
	}
	return nil
}

// grpcReplay measures readers that start after all lines are stored.
func grpcReplay(readers int) measure {
	return func(ctx context.Context, e *env) (report.Metrics, error) {
		const key = ref.KeptPrefix + "replay"
		if err := e.t.Open(ctx, key); err != nil {
			return nil, err
		}
		total, err := fillGRPC(ctx, e.t, key, e.n)
		if err != nil {
			return nil, err
		}
		begin, err := e.mark()
		if err != nil {
			return nil, err
		}
		errs := make(chan error, readers)
		for range readers {
			go func() { errs <- (&grpcReader{want: total}).read(ctx, e.t, key, func() {}) }()
		}
		for range readers {
			err = errors.Join(err, <-errs)
		}
		used, err2 := e.since(begin)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		lines := float64(total) * float64(readers)
		m := report.Metrics{"lines_per_s": lines / used.wall.Seconds()}
		used.into(m, "lines", lines)
		m.PerCore()
		return m, e.t.Drop(ctx, key)
	}
}

// grpcFanOut is fanOut over gRPC.
type grpcFanOut struct {
	readers, batch int
	every          time.Duration
}

func (f grpcFanOut) measure(ctx context.Context, e *env) (report.Metrics, error) {
	const key = ref.KeptPrefix + "fanout"
	if err := e.t.Open(ctx, key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	delays, mu := new(load.Histogram), sync.Mutex{}
	var waiting atomic.Int64
	waiting.Store(int64(f.readers))
	connected, errs := make(chan struct{}), make(chan error, f.readers)
	for range f.readers {
		r := &grpcReader{want: int64(e.n), every: int64(f.batch), onStamp: func(sent, now int64) {
			mu.Lock()
			defer mu.Unlock()
			delays.Add(time.Duration(now - sent))
		}}
		go func() {
			errs <- r.read(ctx, e.t, key, func() {
				if waiting.Add(-1) == 0 {
					close(connected)
				}
			})
		}()
	}
	select {
	case <-connected:
	case err := <-errs:
		return nil, err
	}
	begin, err := e.mark()
	if err != nil {
		return nil, err
	}
	if err := f.write(ctx, e.t, key, int64(e.n)); err != nil {
		return nil, err
	}
	for range f.readers {
		err = errors.Join(err, <-errs)
	}
	used, err2 := e.since(begin)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	deliveries := float64(e.n) * float64(f.readers)
	m := report.Metrics{"deliveries_per_s": deliveries / used.wall.Seconds()}
	used.into(m, "deliveries", deliveries)
	m.Latency("", delays)
	return m, e.t.Drop(ctx, key)
}

// write sends total lines, at their time or when the last batch is
// acknowledged.
func (f grpcFanOut) write(ctx context.Context, t *load.Target, key string, total int64) error {
	conn, c, err := load.DialGRPC(t)
	if err != nil {
		return err
	}
	defer conn.Close()
	push, err := c.Push(ctx)
	if err != nil {
		return err
	}
	b := load.NewBatch(load.NewBuildLog(load.TextSeed), t.Host(), key, f.batch, true)
	begin := time.Now()
	for k := int64(0); k*int64(f.batch) < total; k++ {
		if wait := time.Until(begin.Add(time.Duration(k) * f.every)); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
		}
		b.Number(k)
		b.Stamp(time.Now().UnixNano())
		if err := push.Send(&pb.PushRequest{Account: load.Account, Key: key, Lines: b.Rows(), Offset: k*int64(f.batch) + 1}); err != nil {
			return err
		}
		if _, err := push.Recv(); err != nil {
			return fmt.Errorf("push: %w", err)
		}
	}
	return nil
}
