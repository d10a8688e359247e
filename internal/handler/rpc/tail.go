package rpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// Tail implements LogStream. Lines that came together go out together, in one
// message made of the buffers that all readers share: the more there are, the
// less each costs.
func (s *Server) Tail(r *logservicev1.TailRequest, stream grpc.ServerStreamingServer[logservicev1.TailResponse]) error {
	id, err := callerOf(stream.Context()).log(r.GetAccount(), r.GetKey())
	if err != nil {
		return err
	}
	if r.GetAfter() < 0 {
		return logservice.Invalidf("after is %d: use the sequence of the last line that you have, or 0", r.GetAfter())
	}
	return s.supervise(stream, func(send func(any) error) error {
		ctx := stream.Context()
		cursor, state, err := s.service.Follow(ctx, id, r.GetAfter())
		if err != nil {
			return err
		}
		defer cursor.Close()
		begin := &logservicev1.TailBegin{State: logservicev1.LogState_LOG_STATE_LIVE}
		if state == logservice.StateArchived {
			begin.State = logservicev1.LogState_LOG_STATE_ARCHIVED
		}
		if err := send(&logservicev1.TailResponse{Part: &logservicev1.TailResponse_Begin{Begin: begin}}); err != nil {
			return err
		}
		return s.follow(ctx, cursor, send)
	})
}

// follow sends what cursor yields until the log, the client (ctx) or the
// server ends.
func (s *Server) follow(ctx context.Context, cursor logs.Cursor, send func(any) error) error {
	for {
		batches, err := cursor.Next(ctx)
		if sent := sendBatches(send, batches); sent != nil {
			return sent
		}
		switch {
		case errors.Is(err, io.EOF):
			return send(&logservicev1.TailResponse{Part: &logservicev1.TailResponse_End{End: &logservicev1.TailEnd{}}})
		case err != nil:
			return err
		}
		select {
		case <-cursor.Ready():
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

// sendBatches sends each run of lines without a gap as one message.
func sendBatches(send func(any) error, batches []*logs.Batch) error {
	for len(batches) > 0 {
		if b := batches[0]; b.Gap {
			gap := &logservicev1.TailGap{FirstSequence: b.First, LastSequence: b.Last(), Line: b.Data[:len(b.Data)-1]}
			if err := send(&logservicev1.TailResponse{Part: &logservicev1.TailResponse_Gap{Gap: gap}}); err != nil {
				return err
			}
			batches = batches[1:]
			continue
		}
		run := &logservicev1.Run{FirstSequence: batches[0].First}
		for len(batches) > 0 && !batches[0].Gap {
			run.Count += batches[0].Count
			run.Lines = append(run.Lines, batches[0].Data)
			batches = batches[1:]
		}
		if err := send(run); err != nil {
			return err
		}
	}
	return nil
}
