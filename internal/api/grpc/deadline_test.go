package grpcapi_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	logservice "github.com/harness/log-service"
	grpcapi "github.com/harness/log-service/internal/api/grpc"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/stream"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

// patient is an engine that answers appends and lists when their context has
// ended, with an error of its own.
type patient struct {
	logs.Streams
	err error // nil: the context's
}

func (p *patient) answer(ctx context.Context) error {
	<-ctx.Done()
	if p.err == nil {
		return ctx.Err()
	}
	return p.err
}

func (p *patient) Append(ctx context.Context, _ logservice.ID, _ logs.Lines) (int64, error) {
	return 0, p.answer(ctx)
}

func (p *patient) List(ctx context.Context, _ logs.Filter) ([]logs.Info, error) {
	return nil, p.answer(ctx)
}

// A deadline that passes at the server first is answered as such, wherever it
// passes and whatever the engine makes of it. The client of this test sends a
// deadline and has none itself, so that the server's is always first.
func TestADeadlineThatPassesIsCalledThat(t *testing.T) {
	push := &pb.PushRequest{Account: "A", Key: "k", Lines: []byte("{}\n")}
	for what, tc := range map[string]struct {
		waits  bool  // the engine does, not the call
		err    error // of the engine then; nil: its context's
		method string
		sends  proto.Message // nil: nothing, and the call does not end
	}{
		"a tail of a quiet log":             {method: pb.LogStream_Tail_FullMethodName, sends: &pb.TailRequest{Account: "A", Key: "k"}},
		"a watch":                           {method: pb.LogStream_Watch_FullMethodName, sends: &pb.WatchRequest{Account: "A"}},
		"a push of nothing":                 {method: pb.LogStream_Push_FullMethodName},
		"a push":                            {true, nil, pb.LogStream_Push_FullMethodName, push},
		"a push, with an error of its own":  {true, errors.New("i/o timeout"), pb.LogStream_Push_FullMethodName, push},
		"a push to what is unavailable":     {true, unavailable, pb.LogStream_Push_FullMethodName, push},
		"a list":                            {true, nil, pb.LogStream_List_FullMethodName, &pb.ListRequest{Account: "A"}},
		"a list, with an error of its own":  {true, errors.New("i/o timeout"), pb.LogStream_List_FullMethodName, &pb.ListRequest{Account: "A"}},
		"a watch, with an error of its own": {true, errors.New("i/o timeout"), pb.LogStream_Watch_FullMethodName, &pb.WatchRequest{Account: "A"}},
	} {
		t.Run(what, func(t *testing.T) {
			quiet := slog.New(slog.DiscardHandler)
			engine, err := stream.Open(stream.Config{Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = engine.Stop() }()
			var streams logs.Streams = engine
			if tc.waits {
				streams = &patient{engine, tc.err}
			}
			service := service.New(service.Config{Streams: streams, Store: noLogs{}, Logger: quiet})
			if err := service.Open(t.Context(), logservice.ID{Account: "A", Key: "k"}, logs.OpenOptions{}); err != nil {
				t.Fatal(err)
			}
			metrics := prometheus.NewRegistry()
			server := grpcapi.New(grpcapi.Config{Service: service, Logger: quiet, Registry: metrics})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			callFor(t, l.Addr().String(), tc.method, tc.sends)
			if err := server.Shutdown(t.Context()); err != nil { // once the call has ended
				t.Error(err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
			if got := endings(t, metrics); len(got) != 1 || got["DeadlineExceeded"] != 1 {
				t.Errorf("the call ended with %v, want DeadlineExceeded", got)
			}
		})
	}
}

var unavailable = &logservice.UnavailableError{Cause: errors.New("no answer")}

// endings are the codes that calls ended with.
func endings(t *testing.T, metrics *prometheus.Registry) map[string]int {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if n := int(m.GetCounter().GetValue()); f.GetName() == "log_service_grpc_calls_total" && n > 0 {
				codes[m.GetLabel()[0].GetValue()] += n
			}
		}
	}
	return codes
}

// callFor makes a call with a deadline that the server alone knows. When it has
// passed, grpc-go resets the stream unless the handler was faster.
func callFor(t *testing.T, addr, method string, request proto.Message) {
	t.Helper()
	body, send := io.Pipe()
	defer send.Close()
	go func() {
		if request == nil {
			return
		}
		data, err := proto.Marshal(request)
		if err != nil {
			t.Error(err)
		}
		_, _ = send.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(data))), data...))
		if method != pb.LogStream_Push_FullMethodName {
			_ = send.Close()
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+method, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Grpc-Timeout": {"50m"}}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return // reset before an answer began
	}
	defer resp.Body.Close()
	_, reset := io.Copy(io.Discard, resp.Body)
	status := resp.Trailer.Get("Grpc-Status") + resp.Header.Get("Grpc-Status") // there, where nothing came before
	if reset == nil && status != "4" {
		t.Errorf("status %q in %v, %v", status, resp.Header, resp.Trailer)
	}
}

// noLogs is a store without logs.
type noLogs struct{ logs.Store }

func (noLogs) Attempts(context.Context, logservice.ID) ([]logs.BlobInfo, error) { return nil, nil }
