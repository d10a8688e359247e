// Package rpc adds gRPC to package client, for live logs:
//
//	c, err := client.New("grpc://logs.example.com:8078", rpc.Transport())
//
// All calls on live logs, tails and writers work as over HTTP; in addition, a
// writer keeps several batches in flight. The default port is 8078. The scheme
// grpcs means gRPC over TLS, configured by client.WithTLS. With an http or https
// address the option has no effect, so a program whose address comes from its
// configuration can always pass it.
//
// Package rpc is separate because gRPC adds about 6 MB to a program.
package rpc

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/internal/transport"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// Transport makes client.New accept grpc and grpcs addresses.
func Transport() client.Option { return client.WithTransport(dial) }

// answerTime is how long one attempt waits for its response. Servers respond
// within 10 s.
const answerTime = 30 * time.Second

// service makes the calls of one client over one connection, which is dialled on
// demand.
type service struct {
	config transport.Config
	conns  connections
}

var (
	_ transport.Transport = (*service)(nil)
	_ transport.Pusher    = (*service)(nil)
)

func dial(c transport.Config) (transport.Transport, error) {
	s := &service{config: c}
	s.conns.config = c
	return s, nil
}

// call makes one attempt of a unary call.
func (s *service) call(ctx context.Context, f func(context.Context, logservicev1.LogStreamClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	ctx, err := s.outgoing(ctx)
	if err != nil {
		return err
	}
	conn, err := s.conns.use()
	if err != nil {
		return err
	}
	defer s.conns.done(conn)
	return conn.failure(f(ctx, logservicev1.NewLogStreamClient(conn.ClientConn)))
}

// outgoing adds the token.
func (s *service) outgoing(ctx context.Context) (context.Context, error) {
	token, err := s.config.Token(ctx)
	if err != nil || token == "" {
		return ctx, err
	}
	return metadata.AppendToOutgoingContext(ctx, strings.ToLower(client.HeaderToken), token), nil
}

func (s *service) Open(ctx context.Context, key string, o transport.Open) error {
	r := &logservicev1.OpenRequest{Account: s.config.Account, Key: key, Truncate: o.Truncate}
	if o.TTL > 0 {
		r.Ttl = durationpb.New(o.TTL)
	}
	return s.call(ctx, func(ctx context.Context, c logservicev1.LogStreamClient) error {
		_, err := c.Open(ctx, r)
		return err
	})
}

func (s *service) Close(ctx context.Context, key string, o transport.Close) error {
	r := &logservicev1.CloseRequest{Account: s.config.Account, Key: key, Prefix: o.Under}
	if o.Snapshot != nil {
		r.Archiving = logservicev1.Archiving_ARCHIVING_NEVER
		if *o.Snapshot {
			r.Archiving = logservicev1.Archiving_ARCHIVING_ALWAYS
		}
	}
	return s.call(ctx, func(ctx context.Context, c logservicev1.LogStreamClient) error {
		_, err := c.Close(ctx, r)
		return err
	})
}

// maxPages limits a listing, as the HTTP response is limited: five million
// streams.
const maxPages = 1000

func (s *service) List(ctx context.Context, prefix string) (l transport.Listing, err error) {
	r := &logservicev1.ListRequest{Account: s.config.Account, Prefix: prefix}
	for range maxPages {
		var page *logservicev1.ListResponse
		err := s.call(ctx, func(ctx context.Context, c logservicev1.LogStreamClient) (err error) {
			page, err = c.List(ctx, r)
			return err
		})
		if err != nil {
			return l, err
		}
		for _, i := range page.GetStreams() {
			l.Streams = append(l.Streams, transport.Info{
				Key: i.GetKey(), Lines: i.GetLines(), Bytes: i.GetBytes(),
				Attempt: i.GetAttempt(), Subscribers: int(i.GetSubscribers()), TTL: i.GetTtl().AsDuration(), Node: i.GetNode(),
			})
		}
		l.Waiting, l.Failing = int(page.GetArchiving().GetWaiting()), int(page.GetArchiving().GetFailing())
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			return l, nil
		}
	}
	return l, logservice.Errorf(logservice.ErrTooLarge, "more than %d pages of streams", maxPages)
}

func (s *service) CloseIdle() { s.conns.closeIdle() }

// options returns the options of every connection.
func options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithKeepaliveParams(keepaliveParams),
		grpc.WithConnectParams(connectParams),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(logservicev1.Codec{}),
			grpc.MaxCallRecvMsgSize(maxMessage),
			grpc.MaxCallSendMsgSize(maxMessage),
		),
	}
}
