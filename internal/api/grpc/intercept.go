package grpcapi

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/harness/log-service/internal/api"
)

// unary gives a call an ID, maps its error to a status, recovers from a panic,
// and logs one line.
func (s *Server) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	c := call{Server: s, ctx: ctx, method: info.FullMethod, id: requestID(ctx), began: time.Now()}
	s.metrics.began()
	_ = grpc.SetHeader(ctx, metadata.Pairs(headerRequestID, c.id)) // valid, and nothing was sent
	err = s.recovered(func() (err error) {
		if c.ctx, err = s.authenticate(ctx, info.FullMethod); err == nil {
			answer, err = next(c.ctx, r)
		}
		return err
	})
	if err = c.end(err); err != nil {
		return nil, err
	}
	return answer, nil
}

// streaming does the same for streaming calls.
func (s *Server) streaming(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx := stream.Context()
	c := call{Server: s, ctx: ctx, method: info.FullMethod, id: requestID(ctx), began: time.Now()}
	s.metrics.began()
	_ = stream.SetHeader(metadata.Pairs(headerRequestID, c.id))
	err := s.recovered(func() (err error) {
		if c.ctx, err = s.authenticate(ctx, info.FullMethod); err == nil {
			err = next(server, withCaller{stream, c.ctx})
		}
		return err
	})
	return c.end(err)
}

// withCaller is a stream whose context has the caller.
type withCaller struct {
	grpc.ServerStream
	ctx context.Context
}

func (s withCaller) Context() context.Context { return s.ctx }

var headerRequestID = strings.ToLower(api.HeaderRequestID)

// requestID returns the client's ID of the call if it is short and plain, and a
// random one otherwise.
func requestID(ctx context.Context) string {
	given := ""
	if v := metadata.ValueFromIncomingContext(ctx, headerRequestID); len(v) > 0 {
		given = v[0]
	}
	return api.RequestID(given)
}

// call is one call for the log and the metrics.
type call struct {
	*Server
	ctx    context.Context
	method string
	id     string
	began  time.Time
}

// end turns the error of a call into its status, and counts and logs the call.
func (c call) end(err error) error {
	level := slog.LevelDebug
	var answer error
	code := codes.OK
	if err != nil {
		st, internal := failure(c.ctx, err, c.id)
		if internal && !errors.Is(err, api.ErrStopping) && c.ctx.Err() == nil {
			level = slog.LevelError
		} else if c.ctx.Err() == nil {
			level = slog.LevelInfo // the client has the id of the call
		}
		answer, code = st.Err(), st.Code()
	}
	c.metrics.ended(c.method, code, time.Since(c.began))
	// The peer may have disconnected, which must not prevent logging.
	if ctx := context.WithoutCancel(c.ctx); c.log.Enabled(ctx, level) {
		about := callerOf(c.ctx).about()
		attrs := []slog.Attr{slog.String("request_id", c.id), slog.String("method", c.method), slog.String("code", code.String()),
			slog.Duration("took", time.Since(c.began)), slog.String("account", about.Account), slog.String("key", about.Key.String())}
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		c.log.LogAttrs(ctx, level, "call", attrs...)
	}
	return answer
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
		case now := <-tick.C:
			if at := since.Load(); at > 0 && now.UnixNano()-at > int64(s.stall) {
				// Returning ends the stream, and with it the blocked send.
				return status.Errorf(codes.DeadlineExceeded, "the client took nothing for %v", s.stall)
			}
		}
	}
}
