package grpcapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/harness/log-service/internal/api/apitest"
	grpcapi "github.com/harness/log-service/internal/api/grpc"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

func TestOpenKeepsAnOpenStreamUnlessTold(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	s.open("k")
	s.mustPush("k", `{}`)
	s.open("k")
	if got := s.read("k", 0); len(got) != 1 {
		t.Errorf("after opening again: %q", got)
	}
	if _, err := s.Open(s.context(), &pb.OpenRequest{Account: "A", Key: "k", Truncate: true, Ttl: durationpb.New(90 * time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if got := s.read("k", 0); len(got) != 0 {
		t.Errorf("after truncating: %q", got)
	}
	list, err := s.List(s.context(), &pb.ListRequest{Account: "A"})
	if err != nil {
		t.Fatal(err)
	}
	if ttl := list.GetStreams()[0].GetTtl().AsDuration(); ttl > 90*time.Minute || ttl < 89*time.Minute {
		t.Errorf("time to live %v", ttl)
	}
	for _, ttl := range []*durationpb.Duration{durationpb.New(-time.Second), {Seconds: 1 << 60}} {
		if _, err := s.Open(s.context(), &pb.OpenRequest{Account: "A", Key: "k", Ttl: ttl}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("ttl %v: %v", ttl, err)
		}
	}
}

func TestCloseArchivesAsAsked(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	for _, key := range []string{"p/1", "p/2", "p10/1"} {
		s.open(key)
	}
	s.mustPush("p/1", `{"out":"kept"}`)
	if _, err := s.Close(s.context(), &pb.CloseRequest{Account: "A", Key: "p", Prefix: true}); err != nil {
		t.Fatal(err)
	}
	if got := s.keys("", 0, ""); !slices.Equal(got, []string{"p10/1"}) {
		t.Errorf("open after closing p: %v", got)
	}
	if got := s.tail(s.context(), "p/1", 0).until(1); got[0] != `{"out":"kept"}`+"\n" {
		t.Errorf("archived: %q", got)
	}
	if _, err := s.Close(s.context(), &pb.CloseRequest{Account: "A", Key: "p10/1", Archiving: pb.Archiving_ARCHIVING_NEVER}); err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]*pb.CloseRequest{
		"again":        {Account: "A", Key: "p10/1"},
		"another's":    {Account: "B", Key: "p/1"},
		"a bad choice": {Account: "A", Key: "p/1", Archiving: 7},
	} {
		if _, err := s.Close(s.context(), r); err == nil {
			t.Errorf("closing %s worked", what)
		}
	}
}

func TestListGivesPages(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	var want []string
	for n := range 25 {
		want = append(want, fmt.Sprintf("p/%02d", n))
		s.open(want[n])
	}
	if _, err := s.Open(s.context(), &pb.OpenRequest{Account: "B", Key: "p/00"}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int32{0, 1, 7, 25, 26} {
		if got := s.keys("p", size, ""); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v", size, got)
		}
	}
	if got := s.keys("q", 0, ""); len(got) > 0 {
		t.Errorf("below q: %v", got)
	}
	for what, r := range map[string]*pb.ListRequest{
		"no account": {}, "a large page": {Account: "A", PageSize: 5001}, "a bad token": {Account: "A", PageToken: "//"}, "a bad prefix": {Account: "A", Prefix: "../B"},
	} {
		if _, err := s.List(s.context(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// keys lists all pages.
func (s *testServer) keys(prefix string, size int32, token string) (keys []string) {
	s.t.Helper()
	for {
		l, err := s.List(s.context(), &pb.ListRequest{Account: "A", Prefix: prefix, PageSize: size, PageToken: token})
		if err != nil {
			s.t.Fatal(err)
		}
		if size > 0 && len(l.GetStreams()) > int(size) {
			s.t.Errorf("a page of %d has %d", size, len(l.GetStreams()))
		}
		for _, i := range l.GetStreams() {
			keys = append(keys, i.GetKey())
		}
		if token = l.GetNextPageToken(); token == "" {
			return keys
		}
	}
}

func TestWatchTellsWhatChanges(t *testing.T) {
	s := startServer(t, grpcapi.Config{WatchInterval: time.Millisecond}, 0)
	s.open("a")
	ctx, cancel := context.WithCancel(s.context())
	defer cancel()
	watch, err := s.Watch(ctx, &pb.WatchRequest{Account: "A"})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *pb.WatchResponse {
		t.Helper()
		m, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := next(); len(m.GetStreams()) != 1 || m.GetStreams()[0].GetKey() != "a" || m.GetMore() {
		t.Errorf("first: %v", m)
	}
	s.mustPush("a", `{}{}`)
	if m := next(); len(m.GetStreams()) != 1 || m.GetStreams()[0].GetLines() != 2 {
		t.Errorf("after a push: %v", m)
	}
	if _, err := s.Close(s.context(), &pb.CloseRequest{Account: "A", Key: "a"}); err != nil {
		t.Fatal(err)
	}
	if m := next(); len(m.GetStreams()) != 0 || !slices.Equal(m.GetEnded(), []string{"a"}) {
		t.Errorf("after a close: %v", m)
	}
}

func TestWatchRefusesIntervals(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	for every, want := range map[time.Duration]codes.Code{
		time.Millisecond: codes.InvalidArgument, time.Second - 1: codes.InvalidArgument, time.Second: codes.OK,
		time.Minute: codes.OK, time.Minute + 1: codes.InvalidArgument, -1: codes.InvalidArgument,
	} {
		watch, err := s.Watch(s.context(), &pb.WatchRequest{Account: "A", Interval: durationpb.New(every)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); status.Code(err) != want {
			t.Errorf("an interval of %v: %v, want %v", every, err, want)
		}
	}
}

// One account has no more than its share of the watches, so others have theirs.
func TestWatchesAreSharedFairly(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	watch := func(account string) error {
		watch, err := s.Watch(s.context(), &pb.WatchRequest{Account: account})
		if err == nil {
			_, err = watch.Recv()
		}
		return err
	}
	for n := range 256 {
		if err := watch("flood"); err != nil {
			t.Fatal(n, err)
		}
	}
	if err := watch("flood"); status.Code(err) != codes.Unavailable {
		t.Error("one more than its share:", err)
	}
	for _, account := range []string{"B", "B", "B", "C", "D"} {
		if err := watch(account); err != nil {
			t.Error(account, err)
		}
	}
}

func TestHealthAndReflection(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	health := grpc_health_v1.NewHealthClient(s.conn)
	for _, name := range []string{"", "logservice.v1.LogStream"} {
		r, err := health.Check(s.context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", name, r, err)
		}
	}
	reflection, err := grpc_reflection_v1.NewServerReflectionClient(s.conn).ServerReflectionInfo(s.context())
	if err != nil {
		t.Fatal(err)
	}
	err = reflection.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := reflection.Recv()
	if err != nil || !strings.Contains(r.String(), "logservice.v1.LogStream") {
		t.Errorf("services: %v, %v", r, err)
	}
}

func TestACallHasARequestID(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	for given, want := range map[string]string{"mine-7": "mine-7", "a b": "", "": ""} {
		ctx := metadata.AppendToOutgoingContext(s.context(), "x-request-id", given)
		var header metadata.MD
		_, err := s.Close(ctx, &pb.CloseRequest{Account: "A", Key: "none"}, grpc.Header(&header))
		got := strings.Join(header.Get("x-request-id"), ",")
		if got == "" || want != "" && got != want || got == "a b" {
			t.Errorf("given %q: %q", given, got)
		}
		if !strings.Contains(fmt.Sprint(status.Convert(err).Details()), got) {
			t.Errorf("the error does not name request %q: %v", got, status.Convert(err).Details())
		}
	}
}

// What a call was about is in its line of log, which is written before its
// status is sent.
func TestTheLogOfCallsNamesTheLogThatWasActedOn(t *testing.T) {
	var log apitest.Buffer
	s := startServer(t, grpcapi.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, 0)
	for name, call := range s.calls() {
		ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(s.context(), "x-request-id", name))
		_ = call(ctx, "p/..") // refused: so that every call ends
		cancel()
		line := ""
		for l := range strings.Lines(log.String()) {
			if strings.Contains(l, "request_id="+name+" ") {
				line = l
			}
		}
		if !strings.Contains(line, " account=A key=p/.. ") {
			t.Errorf("%s: %q", name, line)
		}
	}
}
