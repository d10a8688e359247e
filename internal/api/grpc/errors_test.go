package grpcapi_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	clientrpc "github.com/harness/log-service/client/rpc"
	grpcapi "github.com/harness/log-service/internal/api/grpc"
	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/stream"
)

// failing is an engine whose Append fails with a given error.
type failing struct {
	logs.Streams
	err error
}

func (f *failing) Append(context.Context, logservice.ID, logs.Lines) (int64, error) {
	return 0, f.err
}

// An error of the engine reaches the client as the same error, with the same
// words, over HTTP and over gRPC.
func TestErrorsComeThroughBothProtocolsAlike(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	engine, err := stream.Open(stream.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Stop() }()
	f := &failing{Streams: engine}
	service := service.New(service.Config{Streams: f, Logger: quiet})

	overHTTP := httptest.NewServer(httpapi.New(httpapi.Config{Service: service, Logger: quiet}))
	defer overHTTP.Close()
	overGRPC := grpcapi.New(grpcapi.Config{Service: service, Logger: quiet})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- overGRPC.Serve(l) }()
	defer func() {
		overGRPC.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	clients := map[string]*client.Client{}
	for name, address := range map[string]string{"HTTP": overHTTP.URL, "gRPC": "grpc://" + l.Addr().String()} {
		c, err := client.New(address, clientrpc.Transport(), client.WithRetry(client.Retry{}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseIdleConnections()
		clients[name] = c
	}

	secret := errors.New("dial tcp 10.0.0.7: password wrong")
	for _, tc := range []struct {
		err, want error
		code      string
	}{
		{fmt.Errorf("append: %w", logservice.ErrStreamNotFound), logservice.ErrStreamNotFound, "stream_not_found"},
		{logservice.ErrBlobNotFound, logservice.ErrBlobNotFound, "blob_not_found"},
		{logservice.Errorf(logservice.ErrTooLarge, "too much"), logservice.ErrTooLarge, "too_large"},
		{logservice.Errorf(logservice.ErrConflict, "just written"), logservice.ErrConflict, "conflict"},
		{&logservice.SequenceError{Offset: 9, Expected: 4}, logservice.ErrConflict, "sequence_gap"},
		{logservice.ErrUnauthorized, logservice.ErrUnauthorized, "not_authenticated"},
		{logservice.Errorf(logservice.ErrForbidden, "not you"), logservice.ErrForbidden, "forbidden"},
		{logservice.Invalidf("bad %q", "x"), logservice.ErrInvalid, "invalid"},
		{logservice.ErrUnsupported, logservice.ErrUnsupported, "unsupported"},
		{&logservice.UnavailableError{Cause: secret, RetryAfter: 7 * time.Second}, logservice.ErrUnavailable, "unavailable"},
		{&logservice.UnavailableError{Cause: logservice.Errorf(logservice.ErrLimit, "too many lines"), RetryAfter: 7 * time.Second}, logservice.ErrUnavailable, "limit"},
		{logservice.Errorf(logservice.ErrLimit, "too many lines"), logservice.ErrLimit, "limit"},
		{fmt.Errorf("fetch: %w", context.DeadlineExceeded), logservice.ErrDeadline, "deadline_exceeded"},
		{context.DeadlineExceeded, logservice.ErrUnavailable, "deadline_exceeded"},
		{fmt.Errorf("%w: %w", secret, context.Canceled), logservice.ErrUnavailable, "unavailable"}, // the server's own
		{secret, nil, "internal"},
	} {
		f.err = tc.err
		got := map[string]*client.Error{}
		for name, c := range clients {
			_, err := c.Append(t.Context(), "a/b", []logservice.Line{{Out: "x"}}, client.Offset(9))
			answer, ok := errors.AsType[*client.Error](err)
			if !ok || answer.Code != tc.code || tc.want != nil && !errors.Is(err, tc.want) || answer.RequestID == "" {
				t.Errorf("%s: %v came as %v (%+v), want %v, %s", name, tc.err, err, answer, tc.want, tc.code)
				continue
			}
			got[name] = answer
			var unavailable *logservice.UnavailableError
			if errors.As(tc.err, new(*logservice.UnavailableError)) && (!errors.As(err, &unavailable) || unavailable.RetryAfter != 7*time.Second) {
				t.Errorf("%s: %v does not say when to come again", name, err)
			}
			var gap *logservice.SequenceError
			if tc.code == "sequence_gap" && (!errors.As(err, &gap) || *gap != logservice.SequenceError{Offset: 9, Expected: 4}) {
				t.Errorf("%s: %v does not say the gap", name, err)
			}
		}
		h, g := got["HTTP"], got["gRPC"]
		if h != nil && g != nil && (h.Message != g.Message || h.Status != g.Status && tc.code != "stream_not_found") {
			t.Errorf("%v: over HTTP %d %q, over gRPC %d %q", tc.err, h.Status, h.Message, g.Status, g.Message)
		}
		if g != nil && h != nil && h.Hint != g.Hint && tc.code != "stream_not_found" { // a push over HTTP has a shorter one
			t.Errorf("%v: hint over HTTP %q, over gRPC %q", tc.err, h.Hint, g.Hint)
		}
	}
}
