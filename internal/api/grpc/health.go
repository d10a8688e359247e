package grpcapi

import (
	"context"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// reasonHeader gives the reason why the server is not ready in the answer to a
// health check, like the body of /ready/healthz.
const reasonHeader = "log-service-reason"

// healthService answers checks with the current state. Watchers receive changes
// soon after; see Server.SetServing.
type healthService struct {
	*health.Server
	check    func(context.Context) error
	stopping atomic.Bool
}

// Check implements grpc_health_v1.HealthServer.
func (h *healthService) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	a, err := h.Server.Check(ctx, r)
	if err != nil || h.stopping.Load() {
		return a, err
	}
	if err := h.check(ctx); err != nil {
		_ = grpc.SetHeader(ctx, metadata.Pairs(reasonHeader, printable(err.Error()))) // fails only outside a call
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func (h *healthService) stop() {
	h.stopping.Store(true)
	h.Shutdown()
}

// printable makes a text fit for a header.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text)
}

// SetServing notifies watchers of the health service whether the server is
// ready.
func (s *Server) SetServing(serving bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	for _, name := range []string{"", logservicev1.LogStream_ServiceDesc.ServiceName} {
		s.health.SetServingStatus(name, status)
	}
}
