package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	logservice "github.com/harness/log-service"
	grpcapi "github.com/harness/log-service/internal/api/grpc"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

// The conformance suite of stream engines, through gRPC: calls with package
// client, cursors with the generated code and the standard codec, as clients
// of other languages read.

func TestTheServerConformsOverGRPCOnTheDurableEngine(t *testing.T) {
	t.Parallel()
	streamtest.Run(t, overServer(config.StreamDisk, (*inProcess).overGRPC))
}

func TestTheServerConformsOverGRPCOnTheMemoryEngine(t *testing.T) {
	t.Parallel()
	b := overServer(config.StreamMemory, (*inProcess).overGRPC)
	b.Reopen = nil
	streamtest.Run(t, b)
}

// overGRPC returns the running server p as an engine.
func (p *inProcess) overGRPC(t *testing.T) *remote { return newGRPCRemote(t, p.grpc) }

// newGRPCRemote is the server at a grpc address as an engine.
func newGRPCRemote(t *testing.T, url string) *remote {
	t.Helper()
	r := newRemote(url)
	var err error
	r.grpc, err = grpc.NewClient(url[len("grpc://"):], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// followGRPC returns once the server has answered.
func (r *remote) followGRPC(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stream, err := pb.NewLogStreamClient(r.grpc).Tail(ctx, &pb.TailRequest{Account: id.Account, Key: string(id.Key), After: after})
	if err == nil {
		_, err = stream.Recv() // the beginning
	}
	if err != nil {
		cancel()
		if status.Code(err) == codes.NotFound {
			return nil, logservice.ErrStreamNotFound
		}
		return nil, err
	}
	cur := &remoteCursor{cancel: cancel, done: make(chan struct{}), ready: make(chan struct{}), space: make(chan struct{})}
	go cur.readGRPC(ctx, stream)
	return cur, nil
}

func (c *remoteCursor) readGRPC(ctx context.Context, from grpc.ServerStreamingClient[pb.TailResponse]) {
	defer close(c.done)
	for {
		m, err := from.Recv()
		if err != nil {
			c.end(err)
			return
		}
		var b *logs.Batch
		switch p := m.GetPart().(type) {
		case *pb.TailResponse_Batch:
			b = &logs.Batch{First: p.Batch.GetFirstSequence(), Count: p.Batch.GetCount(), Data: p.Batch.GetLines()}
		case *pb.TailResponse_Gap:
			b = logs.NewGap(p.Gap.GetFirstSequence(), p.Gap.GetLastSequence()-p.Gap.GetFirstSequence()+1)
		case *pb.TailResponse_End:
			c.end(io.EOF)
			return
		default:
			c.end(fmt.Errorf("unknown part %v", m))
			return
		}
		if !c.put(ctx, b) {
			return
		}
	}
}

func TestTheServerConformsOverGRPCOnRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	runs := 0
	nodes := map[logs.Streams]*redisNode{} // one test at a time
	streamtest.Run(t, streamtest.Backend{
		Remote:     true,
		SlowReopen: true, // the engine's own tests have it in the model
		Open: func(t *testing.T) logs.Streams {
			runs++
			n := &redisNode{blobs: filepath.Join(t.TempDir(), "blobs.db"), config: redis.Config{
				Addresses: []string{s.Addr}, Prefix: fmt.Sprintf("grpc-%d:", runs),
				Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
			}}
			t.Cleanup(func() {
				clear(nodes)
				n.stop(t)
			})
			r := n.start(t)
			nodes[r] = n
			return r
		},
		Reopen: func(t *testing.T, s logs.Streams) logs.Streams {
			n := nodes[s]
			delete(nodes, s)
			n.stop(t)
			r := n.start(t)
			nodes[r] = n
			return r
		},
	})
}

// redisNode is a gRPC server over streams in Redis.
type redisNode struct {
	config redis.Config
	blobs  string
	client *remote
	end    func() error // nil: stopped
}

func (n *redisNode) start(t *testing.T) *remote {
	t.Helper()
	store, err := bolt.Open(n.blobs, bolt.Options{Logger: n.config.Logger})
	if err != nil {
		t.Fatal(err)
	}
	n.config.Store = store
	engine, err := redis.Open(t.Context(), n.config)
	if err != nil {
		t.Fatal(err)
	}
	service := service.New(service.Config{Streams: engine, Store: store, Logger: n.config.Logger})
	background, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- service.Run(background) }()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopping := make(chan struct{})
	srv := grpcapi.New(grpcapi.Config{Service: service, Logger: n.config.Logger, Stop: stopping})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	n.client = newGRPCRemote(t, "grpc://"+l.Addr().String())
	n.end = func() error {
		n.client.done()
		close(stopping)
		err := srv.Shutdown(context.Background())
		stop()
		return errors.Join(err, <-served, <-ran, engine.Stop(), store.Close())
	}
	return n.client
}

func (n *redisNode) stop(t *testing.T) {
	t.Helper()
	if n.end == nil {
		return
	}
	if err := n.end(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	n.end = nil
}
