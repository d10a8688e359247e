package grpcapi

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/harness/log-service/internal/api"
	"github.com/harness/log-service/internal/auth"
)

// unary runs a call whose message has arrived: it maps its error to a status,
// recovers from a panic, and logs one line.
func (s *Server) unary(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	c := callOf(ctx)
	if m, ok := r.(proto.Message); ok {
		c.received(int64(proto.Size(m)))
	}
	c.begin()
	_ = grpc.SetHeader(ctx, metadata.Pairs(headerRequestID, c.id)) // valid, and nothing was sent
	err = s.recovered(func() (err error) {
		answer, err = next(ctx, r)
		return err
	})
	if err = c.end(ctx, err); err != nil {
		return nil, err
	}
	return answer, nil
}

// streaming does the same for streaming calls.
func (s *Server) streaming(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx := stream.Context()
	c := callOf(ctx)
	c.begin()
	_ = stream.SetHeader(metadata.Pairs(headerRequestID, c.id))
	err := s.recovered(func() error { return next(server, counted{stream, c}) })
	return c.end(ctx, err)
}

// counted is a stream that counts messages as the handler receives them.
type counted struct {
	grpc.ServerStream
	call *call
}

// RecvMsg implements grpc.ServerStream.
func (s counted) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.call.received(sizeOf(m))
	}
	return err
}

func sizeOf(m any) int64 {
	switch m := m.(type) {
	case *incoming:
		return m.wire
	case proto.Message:
		return int64(proto.Size(m))
	}
	return 0
}

// begin counts a call that reached its handler.
func (c *call) begin() { c.server.metrics.began() }

// end turns the error of a call into its status, and counts and logs the call.
func (c *call) end(ctx context.Context, err error) error {
	level := slog.LevelDebug
	var answer error
	code := codes.OK
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errNoMessage) || errors.Is(cause, errPublicTime) {
			err = cause
		}
		st, internal := failure(ctx, err, c.id)
		if internal && !errors.Is(err, api.ErrStopping) && ctx.Err() == nil {
			level = slog.LevelError
		} else if ctx.Err() == nil {
			level = slog.LevelInfo // the client has the id of the call
		}
		answer, code = st.Err(), st.Code()
	}
	c.server.metrics.ended(c.method, code, time.Since(c.began))
	c.write(ctx, level, code, err)
	return answer
}

// write logs the line of a call.
func (c *call) write(ctx context.Context, level slog.Level, code codes.Code, err error) {
	// The peer may have disconnected, which must not prevent logging.
	ctx = context.WithoutCancel(ctx)
	if !c.server.log.Enabled(ctx, level) {
		return
	}
	about := c.about()
	attrs := []slog.Attr{slog.String("request_id", c.id), slog.String("method", c.method), slog.String("code", code.String()),
		slog.Duration("took", time.Since(c.began)), slog.String("account", about.Account), slog.String("key", about.Key.String())}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	c.server.log.LogAttrs(ctx, level, "call", attrs...)
}

// recovered turns a panic of f into an internal error.
func (s *Server) recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic", "panic", p, "stack", string(debug.Stack()))
			err = api.ErrPanic
		}
	}()
	return f()
}

// supervise runs work, which sends to the peer of stream, until it ends or the
// peer has received nothing for the stall time: flow control alone would wait
// forever.
func (s *Server) supervise(stream grpc.ServerStream, work func(send func(any) error) error) error {
	var since atomic.Int64 // when the blocked send began, in Unix nanoseconds; zero: none is blocked
	send := func(m any) error {
		since.Store(time.Now().UnixNano())
		defer since.Store(0)
		return stream.SendMsg(m)
	}
	done := make(chan error, 1)
	s.work.Go(func() { done <- s.recovered(func() error { return work(send) }) })
	tick := time.NewTicker(s.stall / 4)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-callOf(stream.Context()).revoked:
			return auth.ErrRevoked
		case now := <-tick.C:
			if at := since.Load(); at > 0 && now.UnixNano()-at > int64(s.stall) {
				// Returning ends the stream, and with it the blocked send.
				return status.Errorf(codes.DeadlineExceeded, "the client took nothing for %v", s.stall)
			}
		}
	}
}
