package rpc

import (
	"bytes"
	"context"
	"time"

	"google.golang.org/grpc"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// Tail implements transport.Transport.
func (s *service) Tail(ctx context.Context, key string, o transport.Tail) (transport.Reader, error) {
	ctx, err := s.outgoing(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := s.conns.use()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &reader{conn: conn, close: func() {
		cancel()
		s.conns.done(conn)
	}}
	if err := r.begin(ctx, cancel, &logservicev1.TailRequest{
		Account: s.config.Account, Key: key,
		After: o.After.Sequence, Attempt: o.After.Attempt, Following: !o.Only, Existing: o.Existing,
	}); err != nil {
		r.close()
		return nil, conn.failure(err)
	}
	return r, nil
}

// reader reads a log from one call.
type reader struct {
	conn   *connection
	close  func()
	stream grpc.ServerStreamingClient[logservicev1.TailResponse]
	state  string

	attempt int64
	lines   []byte // the rest of the last batch
	seq     int64  // sequence of the first of them
}

// begin waits for the server to confirm that it has the log.
func (r *reader) begin(ctx context.Context, cancel func(), q *logservicev1.TailRequest) error {
	limit := time.AfterFunc(answerTime, cancel)
	defer limit.Stop()
	var err error
	if r.stream, err = logservicev1.NewLogStreamClient(r.conn.ClientConn).Tail(ctx, q); err != nil {
		return err
	}
	m, err := r.stream.Recv()
	if err != nil {
		return err
	}
	r.attempt = max(1, m.GetBegin().GetAttempt()) // older servers send none
	switch m.GetBegin().GetState() {
	case logservicev1.LogState_LOG_STATE_ARCHIVED:
		r.state = logservice.StateArchived
	case logservicev1.LogState_LOG_STATE_INCOMPLETE:
		r.state = logservice.StateIncomplete
	default:
		r.state = logservice.StateLive
	}
	return nil
}

func (r *reader) State() string { return r.state }
func (r *reader) Close()        { r.close() }

func (r *reader) Next() (transport.Event, error) {
	for len(r.lines) == 0 {
		m, err := r.stream.Recv()
		if err != nil {
			return transport.Event{}, r.conn.failure(err)
		}
		switch p := m.GetPart().(type) {
		case *logservicev1.TailResponse_Batch:
			r.lines, r.seq = p.Batch.GetLines(), p.Batch.GetFirstSequence()
		case *logservicev1.TailResponse_Gap:
			return transport.Event{Attempt: r.attempt, Seq: p.Gap.GetLastSequence(), JSON: p.Gap.GetLine()}, nil
		case *logservicev1.TailResponse_Attempt:
			r.attempt = p.Attempt.GetAttempt()
			return transport.Event{Attempt: r.attempt, JSON: p.Attempt.GetLine()}, nil
		case *logservicev1.TailResponse_End:
			return transport.Event{End: true}, nil
		}
	}
	line, rest, _ := bytes.Cut(r.lines, []byte{'\n'})
	e := transport.Event{Attempt: r.attempt, Seq: r.seq, JSON: line}
	r.lines = rest
	r.seq++
	return e, nil
}
