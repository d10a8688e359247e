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

// grpcService is the listener of the gRPC service.
type grpcService struct {
	listener net.Listener
	server   *grpcapi.Server
}

// openGRPC listens on bind; nil where that says off. The default address may
// be taken, by another server of this machine for example, which is no reason
// not to start: then it is a free port. An address that somebody asked for
// must be had.
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
		host, _, _ := net.SplitHostPort(addr) // ours
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

// answer says what answers the calls, once it is there.
func (g *grpcService) answer(c grpcapi.Config) {
	if g != nil {
		g.server = grpcapi.New(c)
	}
}

// serve answers calls until shutdown or close.
func (g *grpcService) serve() error {
	if g == nil {
		return nil
	}
	return g.server.Serve(g.listener)
}

// unready tells who asks that the server will stop.
func (g *grpcService) unready() {
	if g != nil {
		g.server.Unready()
	}
}

// setServing tells who watches whether the server takes work.
func (g *grpcService) setServing(serving bool) {
	if g != nil {
		g.server.SetServing(serving)
	}
}

// shutdown waits for the calls in flight until ctx ends.
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

// grpcConfig says to the gRPC side what c says.
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

// GRPCAddr is the address of the gRPC service; nil where there is none.
func (s *Server) GRPCAddr() net.Addr {
	if s.grpc == nil {
		return nil
	}
	return s.grpc.listener.Addr()
}

// GRPCURL is where clients on this machine reach the gRPC service; empty where
// there is none.
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
