package rpc

import (
	"bytes"
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
		begin := &logservicev1.TailBegin{State: stateOf(state)}
		if err := send(&logservicev1.TailResponse{Part: &logservicev1.TailResponse_Begin{Begin: begin}}); err != nil {
			return err
		}
		return s.follow(ctx, cursor, send)
	})
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

// maxRun is where a message with lines ends: a reader whose connection is cut
// in the middle of one gets it again, so large ones are lost on bad
// connections, and small ones cost more each.
const maxRun = 64 << 10

// sendBatches sends lines without a gap between them together, as far as
// messages go.
func sendBatches(send func(any) error, batches []*logs.Batch) error {
	out := runs{send: send}
	for _, b := range batches {
		if err := out.add(b); err != nil {
			return err
		}
	}
	return out.flush()
}

// runs makes messages of batches. The lines stay where they are.
type runs struct {
	send func(any) error
	run  logservicev1.Run
	size int
}

func (o *runs) add(b *logs.Batch) error {
	if b.Gap {
		if err := o.flush(); err != nil {
			return err
		}
		gap := &logservicev1.TailGap{FirstSequence: b.First, LastSequence: b.Last(), Line: bytes.TrimSuffix(b.Data, newline)}
		return o.send(&logservicev1.TailResponse{Part: &logservicev1.TailResponse_Gap{Gap: gap}})
	}
	first, count, data := b.First, b.Count, b.Data
	for len(data) > maxRun {
		end := bytes.LastIndexByte(data[:maxRun], '\n') + 1
		if end == 0 { // a line that is longer
			end = bytes.IndexByte(data, '\n') + 1
		}
		lines := int64(bytes.Count(data[:end], newline))
		if err := o.lines(first, lines, data[:end]); err != nil {
			return err
		}
		first, count, data = first+lines, count-lines, data[end:]
	}
	if count == 0 {
		return nil
	}
	return o.lines(first, count, data)
}

var newline = []byte{'\n'}

func (o *runs) lines(first, count int64, data []byte) error {
	if o.size > 0 && o.size+len(data) > maxRun {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if o.size == 0 {
		o.run.FirstSequence = first
	}
	o.run.Count += count
	o.run.Lines = append(o.run.Lines, data)
	o.size += len(data)
	return nil
}

func (o *runs) flush() error {
	if o.size == 0 {
		return nil
	}
	err := o.send(&o.run) // which keeps no part of it but the lines
	o.size, o.run.Count, o.run.Lines = 0, 0, o.run.Lines[:0]
	return err
}
