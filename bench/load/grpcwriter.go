package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	pb "github.com/harness/log-service/proto/logservice/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// grpcInFlight is how many batches of a writer are in flight, as many as those
// of package client.
const grpcInFlight = 16

// DialGRPC connects to t.
func DialGRPC(t *Target) (*grpc.ClientConn, pb.LogStreamClient, error) {
	c, err := grpc.NewClient(t.Grpc.String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(GRPCWindow), grpc.WithInitialConnWindowSize(4*GRPCWindow),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(pb.Codec{}))) // which leaves the prepared bytes where they are
	return c, pb.NewLogStreamClient(c), err
}

// GrpcWriter pushes to one log over a connection of its own.
type GrpcWriter struct {
	Key   string
	Lines int
	Conn  *grpc.ClientConn
	Push  grpc.BidiStreamingClient[pb.PushRequest, pb.PushResponse]
	b     *Batch
	sent  [grpcInFlight]time.Time // by number of the batch
	Slots chan struct{}           // one for each batch that may be sent
	K     int64                   // batches sent

	mu    sync.Mutex // guards what follows
	acked int64      // lines
	times *Histogram
}

// NewGRPCWriter connects a writer of batches of lines to t.
func NewGRPCWriter(ctx context.Context, t *Target, key string, lines int) (w *GrpcWriter, err error) {
	w = &GrpcWriter{Key: key, Lines: lines, Slots: make(chan struct{}, grpcInFlight), times: new(Histogram)}
	w.b = NewBatch(NewBuildLog(TextSeed), t.Host(), key, lines, false)
	var c pb.LogStreamClient
	if w.Conn, c, err = DialGRPC(t); err != nil {
		return nil, err
	}
	w.Push, err = c.Push(ctx)
	for range grpcInFlight {
		w.Slots <- struct{}{}
	}
	return w, err
}

// Send sends the next batch. Its bytes are not changed again: the connection
// reads those in flight later.
func (w *GrpcWriter) Send() error {
	w.b.Number(w.K)
	r := &pb.PushRequest{Lines: w.b.Rows(), Offset: w.K*int64(w.Lines) + 1}
	if w.K == 0 {
		r.Account, r.Key = Account, w.Key
	}
	w.sent[w.K%grpcInFlight] = time.Now()
	w.K++
	return w.Push.Send(r)
}

// Run sends until stop, and then until all is acknowledged.
func (w *GrpcWriter) Run(stop <-chan struct{}) error {
	received := make(chan error, 1)
	go func() { received <- w.Receive() }()
	for {
		select {
		case <-stop:
			return errors.Join(w.Push.CloseSend(), <-received)
		case err := <-received:
			return fmt.Errorf("push to %s ended: %w", w.Key, err)
		case <-w.Slots:
			if err := w.Send(); err != nil {
				return errors.Join(err, <-received)
			}
		}
	}
}

// Receive takes the acknowledgements until the call ends.
func (w *GrpcWriter) Receive() error {
	for k := 0; ; k++ {
		_, err := w.Push.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		w.mu.Lock()
		w.times.Add(time.Since(w.sent[k%grpcInFlight]))
		w.acked += int64(w.Lines)
		w.mu.Unlock()
		w.Slots <- struct{}{}
	}
}

// Take returns what was acknowledged since the last call.
func (w *GrpcWriter) Take() (lines int64, times *Histogram) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, times = w.acked, w.times
	w.acked, w.times = 0, new(Histogram)
	return lines, times
}

// GRPCWindow is that of both servers and of the generator.
const GRPCWindow = 1 << 20
