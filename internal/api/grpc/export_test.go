package grpcapi

import "google.golang.org/grpc"

// Services is what the listener answers, as grpc knows it.
func (s *Server) Services() map[string]grpc.ServiceInfo { return s.grpc.GetServiceInfo() }

// Flight is how many bytes of tails gRPC holds.
func (s *Server) Flight() int64 { return s.flight.Load() }
