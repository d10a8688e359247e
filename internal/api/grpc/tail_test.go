package grpcapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	grpcapi "github.com/harness/log-service/internal/api/grpc"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

// reader follows a log.
type reader struct {
	t      *testing.T
	stream grpc.ServerStreamingClient[pb.TailResponse]
	state  pb.LogState
	last   int64
	gaps   []*pb.TailGap
	ended  bool
}

func (s *testServer) tail(ctx context.Context, key string, after int64) *reader {
	s.t.Helper()
	stream, err := s.Tail(ctx, &pb.TailRequest{Account: "A", Key: key, After: after})
	if err != nil {
		s.t.Fatal(err)
	}
	r := &reader{t: s.t, stream: stream, last: after}
	m, err := stream.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	begin, ok := m.GetPart().(*pb.TailResponse_Begin)
	if !ok {
		s.t.Fatalf("the tail begins with %v", m)
	}
	r.state = begin.Begin.GetState()
	return r
}

// next returns the lines of the next message, none at the end.
func (r *reader) next() ([]string, error) {
	r.t.Helper()
	m, err := r.stream.Recv()
	if err != nil {
		return nil, err
	}
	switch p := m.GetPart().(type) {
	case *pb.TailResponse_Batch:
		lines := strings.SplitAfter(string(p.Batch.GetLines()), "\n")
		lines = lines[:len(lines)-1]
		if p.Batch.GetFirstSequence() != r.last+1 || int64(len(lines)) != p.Batch.GetCount() {
			r.t.Fatalf("batch of %d from %d with %d lines, after %d", p.Batch.GetCount(), p.Batch.GetFirstSequence(), len(lines), r.last)
		}
		r.last += p.Batch.GetCount()
		return lines, nil
	case *pb.TailResponse_Gap:
		if p.Gap.GetFirstSequence() != r.last+1 {
			r.t.Fatalf("gap from %d, after %d", p.Gap.GetFirstSequence(), r.last)
		}
		r.last = p.Gap.GetLastSequence()
		r.gaps = append(r.gaps, p.Gap)
		return nil, nil
	case *pb.TailResponse_End:
		r.ended = true
		return nil, nil
	}
	return nil, fmt.Errorf("unknown part %v", m)
}

// until reads up to the line of sequence last.
func (r *reader) until(last int64) (lines []string) {
	r.t.Helper()
	for r.last < last {
		l, err := r.next()
		if err != nil || r.ended {
			r.t.Fatalf("at line %d of %d: %v, ended %v", r.last, last, err, r.ended)
		}
		lines = append(lines, l...)
	}
	return lines
}

// end expects the end of the log.
func (r *reader) end() {
	r.t.Helper()
	if l, err := r.next(); err != nil || !r.ended {
		r.t.Fatalf("%q, %v where the end should come", l, err)
	}
	if _, err := r.stream.Recv(); !errors.Is(err, io.EOF) {
		r.t.Fatalf("after the end: %v", err)
	}
}

// read returns the lines that a log has now, without their ends.
func (s *testServer) read(key string, after int64) (lines []string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.context())
	defer cancel()
	next, err := s.service.Next(ctx, s.id(key))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range s.tail(ctx, key, after).until(next - 1) {
		lines = append(lines, strings.TrimSuffix(l, "\n"))
	}
	return lines
}

func TestATailGetsWhatIsThereWhatComesAndTheEnd(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	s.open("k")
	s.mustPush("k", `{"out":"1"}{"out":"2"}`)
	early := s.tail(s.context(), "k", 0)
	late := s.tail(s.context(), "k", 2)
	if early.state != pb.LogState_LOG_STATE_LIVE {
		t.Errorf("state %v", early.state)
	}
	early.until(2)
	s.mustPush("k", `{"out":"3"}`)
	for _, r := range []*reader{early, late} {
		if got := r.until(3); len(got) != 1 || got[0] != `{"out":"3"}`+"\n" {
			t.Errorf("%q", got)
		}
	}
	if _, err := s.Close(s.context(), &pb.CloseRequest{Account: "A", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	early.end()
	late.end()

	archived := s.tail(s.context(), "k", 1)
	if archived.state != pb.LogState_LOG_STATE_ARCHIVED {
		t.Errorf("state %v", archived.state)
	}
	if got := strings.Join(archived.until(3), ""); got != `{"out":"2"}`+"\n"+`{"out":"3"}`+"\n" {
		t.Errorf("archived: %q", got)
	}
	archived.end()
}

func TestATailOfNoLogIsNotFound(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	s.open("k")
	for _, tc := range []struct {
		r    *pb.TailRequest
		code codes.Code
	}{
		{&pb.TailRequest{Account: "A", Key: "none"}, codes.NotFound},
		{&pb.TailRequest{Account: "B", Key: "k"}, codes.NotFound},
		{&pb.TailRequest{Account: "A", Key: "k", After: -1}, codes.InvalidArgument},
		{&pb.TailRequest{Key: "k"}, codes.InvalidArgument},
	} {
		stream, err := s.Tail(s.context(), tc.r)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := stream.Recv(); status.Code(err) != tc.code {
			t.Errorf("%v: %v, %v", tc.r, m, err)
		}
	}
}

func TestLostLinesAreAGap(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 1<<20) // in memory: older lines go
	s.open("k")
	s.tail(s.context(), "k", 0) // memory holds what somebody follows
	line := fmt.Sprintf(`{"out":%q}`+"\n", strings.Repeat("x", 1000))
	var next int64
	for range 40 {
		next = s.mustPush("k", strings.Repeat(line, 100))
	}
	r := s.tail(s.context(), "k", 0)
	r.until(next - 1)
	if len(r.gaps) == 0 || !strings.Contains(string(r.gaps[0].GetLine()), `"gap":{"first":1`) || strings.Contains(string(r.gaps[0].GetLine()), "\n") {
		t.Errorf("gaps: %v", r.gaps)
	}
}

func TestManyBatchesAreOneMessageForALateReader(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 64<<20)
	s.open("k")
	s.tail(s.context(), "k", 0)
	for range 100 {
		s.mustPush("k", `{"out":"x"}`)
	}
	r := s.tail(s.context(), "k", 0)
	if l, err := r.next(); len(l) != 100 || err != nil {
		t.Errorf("the first message has %d lines, %v", len(l), err)
	}
}

func TestLongBatchesComeInMessagesOfBoundedSize(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	s.open("k")
	var want strings.Builder
	for n := range 3000 {
		fmt.Fprintf(&want, `{"out":"%d %s"}`+"\n", n, strings.Repeat("x", n%300))
	}
	long := fmt.Sprintf(`{"out":%q}`+"\n", strings.Repeat("y", 200_000))
	want.WriteString(long + long + "{}\n")
	next := s.mustPush("k", want.String())
	r := s.tail(s.context(), "k", 0)
	var got strings.Builder
	for r.last < next-1 {
		l, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		size := len(strings.Join(l, ""))
		if size > 64<<10 && len(l) > 1 {
			t.Errorf("a message of %d lines has %d bytes", len(l), size)
		}
		got.WriteString(strings.Join(l, ""))
	}
	if got.String() != want.String() {
		t.Error("the lines are not those that were pushed")
	}
}

func TestAStopTellsTailsPushesAndWatchesToReconnect(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	s.open("k")
	ctx := s.context()
	r := s.tail(ctx, "k", 0)
	push, err := s.Push(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Send(&pb.PushRequest{Account: "A", Key: "k", Lines: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := push.Recv(); err != nil {
		t.Fatal(err)
	}
	r.until(1)
	watch, err := s.Watch(ctx, &pb.WatchRequest{Account: "A"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	s.stop()
	stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.rpc.Shutdown(stopping); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	_, tailErr := r.next()
	_, pushErr := push.Recv()
	_, watchErr := watch.Recv()
	for what, err := range map[string]error{"tail": tailErr, "push": pushErr, "watch": watchErr} {
		st := status.Convert(err)
		if st.Code() != codes.Unavailable || reason(st) != "UNAVAILABLE" || retryDelay(st) <= 0 {
			t.Errorf("%s: %v, details %v", what, err, st.Details())
		}
	}
}

func TestAReaderThatTakesNothingIsEnded(t *testing.T) {
	s := startServer(t, grpcapi.Config{Stall: 100 * time.Millisecond}, 0)
	s.open("k")
	// Its window is small and never grows, so that the server has to wait soon.
	conn := s.dial(grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10))
	stream, err := pb.NewLogStreamClient(conn).Tail(s.context(), &pb.TailRequest{Account: "A", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf(`{"out":%q}`+"\n", strings.Repeat("x", 1000))
	for range 10 {
		s.mustPush("k", strings.Repeat(line, 100))
	}
	for { // the server lets its cursor go
		infos, err := s.List(s.context(), &pb.ListRequest{Account: "A"})
		if err != nil {
			t.Fatal(err)
		}
		if infos.GetStreams()[0].GetSubscribers() == 0 {
			break
		}
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the reader ended with %v", err)
	}
}

func retryDelay(st *status.Status) time.Duration {
	for _, d := range st.Details() {
		if i, ok := d.(*errdetails.RetryInfo); ok {
			return i.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// More tails than may read at a time stall, and hold nobody up; each holds a
// message or two.
func TestTailsThatStallHoldLittleAndGoOn(t *testing.T) {
	const tails, count = 100, 8000
	s := startServer(t, grpcapi.Config{}, 0)
	s.open("k")
	line := func(n int64) string { return fmt.Sprintf(`{"out":"%d %s"}`, n, strings.Repeat("x", 1000)) }
	var b strings.Builder
	for n := int64(1); n <= count; n++ {
		b.WriteString(line(n) + "\n")
		if n%500 == 0 {
			s.mustPush("k", b.String())
			b.Reset()
		}
	}
	sees := func(stream grpc.ServerStreamingClient[pb.TailResponse], after int64) {
		t.Helper()
		for after < count {
			r, err := stream.Recv()
			if err != nil {
				t.Fatalf("after %d: %v", after, err)
			}
			batch := r.GetBatch()
			if batch == nil {
				continue
			}
			if batch.GetFirstSequence() != after+1 {
				t.Fatalf("%d follows %d", batch.GetFirstSequence(), after)
			}
			for l := range strings.Lines(string(batch.GetLines())) {
				if after++; l != line(after)+"\n" {
					t.Fatalf("line %d is %.40s", after, l)
				}
			}
		}
	}
	conn := s.dial(grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<20))
	var stalled []grpc.ServerStreamingClient[pb.TailResponse]
	ctx, cancel := context.WithCancel(s.context())
	for i := range int64(tails) {
		stream, err := pb.NewLogStreamClient(conn).Tail(ctx, &pb.TailRequest{Account: "A", Key: "k", After: 10 * i})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil { // it has begun
			t.Fatal(err)
		}
		stalled = append(stalled, stream)
	}
	reader, err := s.Tail(s.context(), &pb.TailRequest{Account: "A", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	sees(reader, 0)
	if held := s.rpc.Flight(); held > 2*tails*64<<10 {
		t.Errorf("%d bytes are held for %d readers that take nothing", held, tails)
	}
	for i := range 3 {
		sees(stalled[i], int64(10*i))
	}
	cancel()
	_ = conn.Close()
	s.rpc.Stop()
	if held := s.rpc.Flight(); held != 0 {
		t.Errorf("%d bytes are held for nobody", held)
	}
}
