package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/harness/log-service/proto/logservice/v1"
)

// grpcFillLines makes batches of about the size of a tail's messages.
const grpcFillLines = 300

// fillGRPC pushes about n lines to a log, and returns how many it were.
func fillGRPC(ctx context.Context, t *target, key string, n int) (total int64, err error) {
	w, err := newGRPCWriter(ctx, t, key, grpcFillLines)
	if err != nil {
		return 0, err
	}
	defer w.conn.Close()
	received := make(chan error, 1)
	go func() { received <- w.receive() }()
	for total < int64(n) {
		<-w.room
		if err := w.send(); err != nil {
			return 0, errors.Join(err, <-received)
		}
		total += grpcFillLines
	}
	return total, errors.Join(w.push.CloseSend(), <-received)
}

// grpcReader checks a log as it comes: every line once and in order.
type grpcReader struct {
	last    int64
	want    int64 // the last line
	every   int64 // lines of which last%every is 0 carry a stamp; 0: none
	onStamp func(sent, now int64)
}

// read follows key over a connection of its own, until want has come; ready
// is called once the server has answered.
func (r *grpcReader) read(ctx context.Context, t *target, key string, ready func()) error {
	conn, c, err := dialGRPC(t)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := c.Tail(ctx, &pb.TailRequest{Account: account, Key: key})
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
		sent, ok := number(line, `"out":"@`, stampBytes)
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

// grpcReplay measures readers that come when all lines are there.
func grpcReplay(readers int) measure {
	return func(ctx context.Context, e *env) (metrics, error) {
		const key = keptPrefix + "replay"
		if err := e.t.open(ctx, key); err != nil {
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
		m := metrics{"lines_per_s": lines / used.wall.Seconds()}
		used.into(m, "lines", lines)
		m.perCore()
		return m, e.t.drop(ctx, key)
	}
}

// grpcFanOut is fanOut over gRPC.
type grpcFanOut struct {
	readers, batch int
	every          time.Duration
}

func (f grpcFanOut) measure(ctx context.Context, e *env) (metrics, error) {
	const key = keptPrefix + "fanout"
	if err := e.t.open(ctx, key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	delays, mu := new(histogram), sync.Mutex{}
	var waiting atomic.Int64
	waiting.Store(int64(f.readers))
	connected, errs := make(chan struct{}), make(chan error, f.readers)
	for range f.readers {
		r := &grpcReader{want: int64(e.n), every: int64(f.batch), onStamp: func(sent, now int64) {
			mu.Lock()
			defer mu.Unlock()
			delays.add(time.Duration(now - sent))
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
	m := metrics{"deliveries_per_s": deliveries / used.wall.Seconds()}
	used.into(m, "deliveries", deliveries)
	m.latency("", delays)
	return m, e.t.drop(ctx, key)
}

// write sends total lines, at their time or when the last batch is
// acknowledged.
func (f grpcFanOut) write(ctx context.Context, t *target, key string, total int64) error {
	conn, c, err := dialGRPC(t)
	if err != nil {
		return err
	}
	defer conn.Close()
	push, err := c.Push(ctx)
	if err != nil {
		return err
	}
	b := newBatch(newBuildLog(textSeed), t.host(), key, f.batch, true)
	begin := time.Now()
	for k := int64(0); k*int64(f.batch) < total; k++ {
		if wait := time.Until(begin.Add(time.Duration(k) * f.every)); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
		}
		b.number(k)
		b.stamp(time.Now().UnixNano())
		if err := push.Send(&pb.PushRequest{Account: account, Key: key, Lines: b.rows(), Offset: k*int64(f.batch) + 1}); err != nil {
			return err
		}
		if _, err := push.Recv(); err != nil {
			return fmt.Errorf("push: %w", err)
		}
	}
	return nil
}
