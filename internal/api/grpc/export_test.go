package grpcapi

import (
	"time"

	"google.golang.org/grpc"
)

// Services is what the listener answers, as grpc knows it.
func (s *Server) Services() map[string]grpc.ServiceInfo { return s.grpc.GetServiceInfo() }

// Flight is how many bytes of tails gRPC holds.
func (s *Server) Flight() int64 { return s.flight.Load() }

// SetTimes sets how long the message of a call, and a call without a token, may
// take.
func (s *Server) SetTimes(message, public time.Duration) {
	s.messageTime, s.publicTime = message, public
}

// Receiving is what is held of the budget for what was received.
func (s *Server) Receiving() int64 {
	held, _ := s.receiving.Use()
	return held
}
