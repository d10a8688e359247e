package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"

	grpcapi "github.com/harness/log-service/internal/api/grpc"
	"github.com/harness/log-service/internal/config"
)

// grpcService is the listener for gRPC.
type grpcService struct {
	listener net.Listener
	server   *grpcapi.Server
}

// openGRPC listens on bind; it returns nil if bind is GRPCOff. If the default
// address is in use, for example by another server on this machine, it picks a free
// port instead of failing. An explicit address must be available.
func (s *Server) openGRPC(bind string) (*grpcService, error) {
	if bind == config.GRPCOff {
		return nil, nil
	}
	addr := bind
	if bind == "" {
		addr = config.DefaultGRPCBind
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if bind == "" && errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(addr) // addr is valid
		if l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(host, "0")); err == nil {
			s.log.Warn("the default gRPC address is in use; using another one; LOG_SERVICE_GRPC_BIND sets it",
				slog.String("default", addr), slog.String("instead", l.Addr().String()))
		}
	}
	if err != nil {
		return nil, wrap("gRPC (LOG_SERVICE_GRPC_BIND)", err)
	}
	return &grpcService{listener: s.conns.on(l, "")}, nil
}

// answer sets the configuration of the gRPC API once it is known.
func (g *grpcService) answer(c grpcapi.Config) {
	if g != nil {
		g.server = grpcapi.New(c)
	}
}

// serve handles calls until shutdown or close.
func (g *grpcService) serve() error {
	if g == nil {
		return nil
	}
	return g.server.Serve(g.listener)
}

// unready reports to health watchers that the server is about to stop.
func (g *grpcService) unready() {
	if g != nil {
		g.server.Unready()
	}
}

// setServing reports to health watchers whether the server accepts work.
func (g *grpcService) setServing(serving bool) {
	if g != nil {
		g.server.SetServing(serving)
	}
}

// shutdown waits for calls in progress until ctx ends.
func (g *grpcService) shutdown(ctx context.Context) error {
	if g == nil {
		return nil
	}
	return g.server.Shutdown(ctx)
}

func (g *grpcService) close() error {
	if g == nil {
		return nil
	}
	if g.server != nil {
		g.server.Stop()
	}
	if err := g.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err // it was never served
	}
	return nil
}

// grpcConfig converts c to the configuration of the gRPC API.
func (s *Server) grpcConfig(c config.Config) grpcapi.Config {
	return grpcapi.Config{
		Service: s.service,
		Logger:  s.log,
		Auth:    s.auth,
		MaxLine: int(c.MaxLine),
		MaxBody: c.MaxBody,
		Stop:    s.stopping,
		TLS:     s.tls,

		Registry: s.registry,
	}
}

// GRPCAddr returns the address of the gRPC service, or nil if it is off.
func (s *Server) GRPCAddr() net.Addr {
	if s.grpc == nil {
		return nil
	}
	return s.grpc.listener.Addr()
}

// GRPCURL returns the URL of the gRPC service for clients on this machine, or ""
// if it is off.
func (s *Server) GRPCURL() string {
	if s.grpc == nil {
		return ""
	}
	scheme := "grpc"
	if s.tls != nil {
		scheme = "grpcs"
	}
	return scheme + "://" + localAddress(s.grpc.listener)
}
