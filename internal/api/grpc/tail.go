package grpcapi

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// Tail implements LogStream. Lines that arrived together are sent together, in
// one message made of the buffers that all readers share: the more there are,
// the less each costs.
func (s *Server) Tail(r *logservicev1.TailRequest, stream grpc.ServerStreamingServer[logservicev1.TailResponse]) error {
	id, err := callerOf(stream.Context()).log(r.GetAccount(), r.GetKey())
	if err != nil {
		return err
	}
	if r.GetAttempt() < 0 {
		return logservice.Invalidf("attempt is %d: use a number from 1, or 0 for the newest", r.GetAttempt())
	}
	if r.GetAfter() < 0 {
		return logservice.Invalidf("after is %d: use the sequence of the last line that you have, or 0", r.GetAfter())
	}
	out := &tailStream{ServerStream: stream, s: s, drained: make(chan struct{}, 1)}
	return s.supervise(out, func(send func(any) error) error {
		defer out.close()
		ctx := stream.Context()
		from := service.From{Position: logservice.Position{Attempt: r.GetAttempt(), Sequence: r.GetAfter()}, Only: !r.GetFollowing(), Existing: r.GetExisting()}
		cursor, state, err := s.service.Follow(ctx, id, from)
		if err != nil {
			return err
		}
		defer cursor.Close()
		begin := &logservicev1.TailBegin{State: stateOf(state), Attempt: later(cursor.Attempt())}
		if err := send(&logservicev1.TailResponse{Part: &logservicev1.TailResponse_Begin{Begin: begin}}); err != nil {
			return err
		}
		return s.follow(ctx, cursor, out, send)
	})
}

// later is the attempt's number in messages, which have it from the second on.
func later(attempt int64) int64 {
	if attempt == 1 {
		return 0
	}
	return attempt
}

func stateOf(state string) logservicev1.LogState {
	switch state {
	case logservice.StateLive:
		return logservicev1.LogState_LOG_STATE_LIVE
	case logservice.StateIncomplete:
		return logservicev1.LogState_LOG_STATE_INCOMPLETE
	}
	return logservicev1.LogState_LOG_STATE_ARCHIVED
}

// follow sends what cursor yields until the log, the client (ctx) or the server
// ends. A blocked send holds nothing but its message: the cursor returned to
// the message's end.
func (s *Server) follow(ctx context.Context, cursor logs.Reader, out *tailStream, send func(any) error) error {
	whole := true // the last message ended with what the cursor had returned
	for {
		batches, err := cursor.Next(ctx)
		var m any
		if len(batches) > 0 {
			var after int64
			if m, after = out.message(batches, whole); after < batches[len(batches)-1].Last() {
				whole = false
				cursor.Rewind(after)
			} else {
				whole = true
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return send(&logservicev1.TailResponse{Part: &logservicev1.TailResponse_End{End: &logservicev1.TailEnd{}}})
		case err != nil:
			return err
		}
		ready := cursor.Ready()
		if m != nil {
			if err := send(m); err != nil {
				return err
			}
		}
		select {
		case <-ready:
			// A stop must also reach a tail that always has more.
			select {
			case <-s.stop:
				return stopping()
			default:
			}
		case <-s.stop:
			return stopping()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
