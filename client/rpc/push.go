package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/internal/transport"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// Append pushes a single batch.
func (s *service) Append(ctx context.Context, key string, b transport.Batch) (next int64, err error) {
	if b.Encoding != "" {
		return 0, logservice.Errorf(logservice.ErrUnsupported, "append to %s: an encoded body is for HTTP: over gRPC the connection compresses", key)
	}
	if b.ContentType == client.Text {
		return s.appendText(ctx, key, b)
	}
	return s.append(ctx, key, b.Data, b.Offset)
}

func (s *service) append(ctx context.Context, key string, lines []byte, offset int64) (next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	p, err := s.Push(ctx, key, false)
	if err != nil {
		return 0, err
	}
	if err := p.Send(lines, offset); err != nil {
		return 0, err
	}
	return p.Recv()
}

// appendText converts plain text to lines, as the server does over HTTP.
func (s *service) appendText(ctx context.Context, key string, b transport.Batch) (next int64, err error) {
	next = b.Offset
	if next == 0 {
		if next, err = s.append(ctx, key, nil, 0); err != nil {
			return 0, err
		}
	}
	var rows bytes.Buffer
	enc := json.NewEncoder(&rows)
	enc.SetEscapeHTML(false)
	now := time.Now().UTC()
	for out := range bytes.Lines(b.Data) {
		if err := enc.Encode(logservice.Line{Level: "info", Pos: next - 1, Out: string(out), Time: now}); err != nil {
			return 0, err
		}
		next++
	}
	return s.append(ctx, key, rows.Bytes(), b.Offset)
}

// Push implements transport.Pusher.
func (s *service) Push(ctx context.Context, key string, compress bool) (transport.Push, error) {
	outgoing, err := s.outgoing(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := s.conns.use()
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { s.conns.done(conn) })
	var opts []grpc.CallOption
	if compress {
		opts = append(opts, grpc.UseCompressor(gzip.Name))
	}
	stream, err := logservicev1.NewLogStreamClient(conn.ClientConn).Push(outgoing, opts...)
	if err != nil {
		return nil, conn.failure(err)
	}
	return &push{stream: stream, conn: conn, account: s.config.Account, key: key}, nil
}

type push struct {
	stream       grpc.BidiStreamingClient[logservicev1.PushRequest, logservicev1.PushResponse]
	conn         *connection
	account, key string // empty once sent
}

func (p *push) Send(lines []byte, offset int64) error {
	r := &logservicev1.PushRequest{Account: p.account, Key: p.key, Lines: lines, Offset: offset}
	p.account, p.key = "", ""
	if err := p.stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
		return p.conn.failure(err)
	}
	return nil // if the call has ended, Recv returns the reason
}

func (p *push) Recv() (next int64, err error) {
	ack, err := p.stream.Recv()
	if err != nil {
		return 0, p.conn.failure(err)
	}
	return ack.GetNextSequence(), nil
}
