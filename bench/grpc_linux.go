package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/harness/log-service/proto/logservice/v1"
)

// grpcInFlight is how many batches of a writer are on their way, as many as
// those of package client.
const grpcInFlight = 16

// dialGRPC connects to t.
func dialGRPC(t *target) (*grpc.ClientConn, pb.LogStreamClient, error) {
	c, err := grpc.NewClient(t.grpc.String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(grpcWindow), grpc.WithInitialConnWindowSize(4*grpcWindow),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(pb.Codec{}))) // which leaves the prepared bytes where they are
	return c, pb.NewLogStreamClient(c), err
}

// rows makes the body of a batch what gRPC carries: a line a row.
func (b *batch) rows() []byte {
	body := bytes.TrimSuffix(bytes.TrimPrefix(b.request[len(b.request)-b.body:], []byte{'['}), []byte{']'})
	return append(bytes.ReplaceAll(body, []byte("},{"), []byte("}\n{")), '\n')
}

// grpcWriter pushes to one log over a connection of its own.
type grpcWriter struct {
	key   string
	lines int
	conn  *grpc.ClientConn
	push  grpc.BidiStreamingClient[pb.PushRequest, pb.PushResponse]
	b     *batch
	sent  [grpcInFlight]time.Time // by number of the batch
	room  chan struct{}           // one for each batch that may be sent
	k     int64                   // batches sent

	mu    sync.Mutex // guards what follows
	acked int64      // lines
	times *histogram
}

func newGRPCWriter(ctx context.Context, t *target, key string, lines int) (w *grpcWriter, err error) {
	w = &grpcWriter{key: key, lines: lines, room: make(chan struct{}, grpcInFlight), times: new(histogram)}
	w.b = newBatch(newBuildLog(textSeed), t.host(), key, lines, false)
	var c pb.LogStreamClient
	if w.conn, c, err = dialGRPC(t); err != nil {
		return nil, err
	}
	w.push, err = c.Push(ctx)
	for range grpcInFlight {
		w.room <- struct{}{}
	}
	return w, err
}

// send sends the next batch. Its bytes are not touched again: those on their
// way are read when the connection takes them.
func (w *grpcWriter) send() error {
	w.b.number(w.k)
	r := &pb.PushRequest{Lines: w.b.rows(), Offset: w.k*int64(w.lines) + 1}
	if w.k == 0 {
		r.Account, r.Key = account, w.key
	}
	w.sent[w.k%grpcInFlight] = time.Now()
	w.k++
	return w.push.Send(r)
}

// run sends until stop, and then until all is acknowledged.
func (w *grpcWriter) run(stop <-chan struct{}) error {
	received := make(chan error, 1)
	go func() { received <- w.receive() }()
	for {
		select {
		case <-stop:
			return errors.Join(w.push.CloseSend(), <-received)
		case err := <-received:
			return fmt.Errorf("push to %s ended: %w", w.key, err)
		case <-w.room:
			if err := w.send(); err != nil {
				return errors.Join(err, <-received)
			}
		}
	}
}

func (w *grpcWriter) receive() error {
	for k := 0; ; k++ {
		_, err := w.push.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		w.mu.Lock()
		w.times.add(time.Since(w.sent[k%grpcInFlight]))
		w.acked += int64(w.lines)
		w.mu.Unlock()
		w.room <- struct{}{}
	}
}

// take returns what was acknowledged since the last call.
func (w *grpcWriter) take() (lines int64, times *histogram) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, times = w.acked, w.times
	w.acked, w.times = 0, new(histogram)
	return lines, times
}

// grpcPush measures writers that each keep batches on their way to a log of
// their own.
type grpcPush struct{ writers, lines int }

func (p grpcPush) measure(ctx context.Context, e *env) (metrics, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var writers []*grpcWriter
	for i := range p.writers {
		key := fmt.Sprintf("grpc/%d", i)
		if err := e.t.open(ctx, key); err != nil {
			return nil, err
		}
		w, err := newGRPCWriter(ctx, e.t, key, p.lines)
		if err != nil {
			return nil, err
		}
		defer w.conn.Close()
		writers = append(writers, w)
	}
	stop := make(chan struct{})
	ended := make(chan error, len(writers))
	for _, w := range writers {
		go func() { ended <- w.run(stop) }()
	}
	m, err := p.count(ctx, e, writers)
	close(stop)
	for range writers {
		err = errors.Join(err, <-ended)
	}
	if err != nil || !e.t.service {
		return m, err
	}
	return m, checkGRPC(ctx, e, writers)
}

// count measures for a while, after a while.
func (p grpcPush) count(ctx context.Context, e *env, writers []*grpcWriter) (metrics, error) {
	if err := pause(ctx, e.span(500*time.Millisecond)); err != nil {
		return nil, err
	}
	for _, w := range writers {
		w.take()
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
	all, total := new(histogram), int64(0)
	for _, w := range writers {
		lines, times := w.take()
		total += lines
		all.join(times)
	}
	m := metrics{"lines_per_s": float64(total) / used.wall.Seconds()}
	used.into(m, "lines", float64(total))
	m.perCore()
	m.latency("put_", all)
	return m, nil
}

// perCore is how many lines a second one core of the server would do.
func (m metrics) perCore() {
	if cost := m["cpu_s_per_m_lines"]; cost > 0 {
		m["lines_per_core_s"] = 1e6 / cost
	}
}

func (h *histogram) join(other *histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.most = max(h.most, other.most)
}

// checkGRPC compares what the server says it holds with what was sent and
// acknowledged.
func checkGRPC(ctx context.Context, e *env, writers []*grpcWriter) error {
	sizes, err := e.t.sizes(ctx)
	if err != nil {
		return err
	}
	for _, w := range writers {
		if want := w.k * int64(w.lines); sizes[w.key] != want {
			return fmt.Errorf("%s holds %d lines, %d were acknowledged", w.key, sizes[w.key], want)
		}
		if err := e.t.drop(ctx, w.key); err != nil {
			return err
		}
	}
	return nil
}
