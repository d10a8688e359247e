package grpcapi_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/apitest"
	grpcapi "github.com/harness/log-service/internal/api/grpc"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/stream"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testServer is the gRPC service on a real listener, and a client of it that
// uses the standard codec, as clients of other languages do.
type testServer struct {
	pb.LogStreamClient
	t       *testing.T
	conn    *grpc.ClientConn
	addr    string
	rpc     *grpcapi.Server
	service *service.Service
	stop    func() // begins an orderly stop
}

func startServer(t *testing.T, c grpcapi.Config, memory int64) *testServer {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	if c.Logger == nil {
		c.Logger = quiet
	}
	engine := stream.Config{Memory: memory}
	if memory == 0 {
		engine.Dir = t.TempDir()
	}
	c.Service = apitest.Run(t, engine, service.Config{})

	stopped := make(chan struct{})
	c.Stop = stopped
	s := &testServer{t: t, service: c.Service, rpc: grpcapi.New(c), stop: func() { close(stopped) }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.rpc.Serve(l) }()
	s.conn = s.dial()
	s.LogStreamClient = pb.NewLogStreamClient(s.conn)
	t.Cleanup(func() {
		s.rpc.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *testServer) dial(opts ...grpc.DialOption) *grpc.ClientConn {
	s.t.Helper()
	conn, err := grpc.NewClient(s.addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// context ends calls that hang well before the test binary does.
func (s *testServer) context() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	s.t.Cleanup(cancel)
	return ctx
}

func (s *testServer) open(key string) {
	s.t.Helper()
	if _, err := s.Open(s.context(), &pb.OpenRequest{Account: "A", Key: key}); err != nil {
		s.t.Fatal(err)
	}
}

// push sends one batch and returns the acknowledgement.
func (s *testServer) push(key, lines string, offset int64) (next int64, err error) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.context())
	defer cancel()
	stream, err := s.Push(ctx)
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&pb.PushRequest{Account: "A", Key: key, Lines: []byte(lines), Offset: offset}); err != nil {
		s.t.Fatal(err)
	}
	ack, err := stream.Recv()
	return ack.GetNextSequence(), err
}

// lastLine waits until a log has n lines.
func (s *testServer) mustPush(key, lines string) int64 {
	s.t.Helper()
	next, err := s.push(key, lines, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return next
}

func (s *testServer) id(key string) logservice.ID {
	return logservice.ID{Account: "A", Key: logservice.Key(key)}
}
