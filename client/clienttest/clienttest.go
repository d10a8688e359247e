// Package clienttest starts a real log service for tests of programs that use
// one. It listens on free ports of the loopback interface and keeps its data in
// a temporary directory of the test.
//
//	func TestMyProgram(t *testing.T) {
//		srv := clienttest.NewServer(t)
//		run(srv.URL)
//		for line, err := range srv.Client().Lines(t.Context(), "a/b/c/d") { ... }
//	}
package clienttest

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/server"
)

// Server is a log service that runs until its test ends. Its methods must be
// called from the test's goroutine.
type Server struct {
	// URL is the address for HTTP. It does not change when the server restarts.
	URL string
	// GRPC is the address for package client/rpc. It does not change either.
	GRPC string

	t      testing.TB
	config config.Config
	stop   context.CancelFunc // nil while stopped
	served chan error         // receives the result of Serve
}

// NewServer starts a server, and stops it when the test ends. It fails t if the
// server cannot be started, or does not shut down cleanly.
func NewServer(t testing.TB) *Server {
	t.Helper()
	c := config.Default()
	c.Bind, c.GRPCBind = "127.0.0.1:0", "127.0.0.1:0"
	c.Data = t.TempDir()
	c.BoltPath = filepath.Join(c.Data, "blobs.db")
	s := &Server{t: t, config: c}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts a stopped server with the same data and addresses.
func (s *Server) Start() {
	s.t.Helper()
	if s.stop != nil {
		return
	}
	srv, err := server.New(s.config, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatalf("log service for a test: %v", err)
	}
	s.URL, s.config.Bind = srv.URL(), srv.Addr().String()
	s.GRPC, s.config.GRPCBind = srv.GRPCURL(), srv.GRPCAddr().String()
	// Not the test's context: it ends before the cleanups run, which may
	// still need the server.
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.served = stop, make(chan error, 1)
	go func() { s.served <- srv.Serve(ctx) }()
}

// Stop shuts the server down gracefully: tails lose their connection, requests
// in progress complete, and everything acknowledged is kept.
func (s *Server) Stop() {
	s.t.Helper()
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	if err := <-s.served; err != nil {
		s.t.Errorf("log service for a test: %v", err)
	}
}

// Client returns a client of the server whose connections are closed when the
// test ends.
func (s *Server) Client(opts ...client.Option) *client.Client {
	s.t.Helper()
	c, err := client.New(s.URL, opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}
