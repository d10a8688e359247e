package grpcapi_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	grpcapi "github.com/harness/log-service/internal/api/grpc"
	"github.com/harness/log-service/internal/logs"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

// parts reads a log and describes its parts.
func (s *testServer) parts(r *pb.TailRequest) (parts []string) {
	s.t.Helper()
	r.Account = "A"
	stream, err := s.Tail(s.context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return parts
		}
		if err != nil {
			s.t.Fatal(err)
		}
		switch p := m.GetPart().(type) {
		case *pb.TailResponse_Begin:
			parts = append(parts, fmt.Sprint("begin ", max(1, p.Begin.GetAttempt())))
		case *pb.TailResponse_Batch:
			parts = append(parts, fmt.Sprint("lines ", p.Batch.GetFirstSequence(), " ", p.Batch.GetCount()))
		case *pb.TailResponse_Attempt:
			parts = append(parts, fmt.Sprint("attempt ", p.Attempt.GetAttempt()))
		case *pb.TailResponse_End:
			parts = append(parts, "end")
		}
	}
}

func TestATailReadsTheAttemptsOfALog(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	for n := range 2 {
		s.open("k")
		for range n + 2 {
			s.mustPush("k", `{"out":"x"}`+"\n")
		}
		if n == 0 {
			if err := s.service.Close(t.Context(), s.id("k"), logs.ArchiveIfMissing); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		ask  *pb.TailRequest
		want []string
	}{
		{&pb.TailRequest{Key: "k", Existing: true}, []string{"begin 2", "lines 1 3", "end"}},
		{&pb.TailRequest{Key: "k", Attempt: 1}, []string{"begin 1", "lines 1 2", "end"}},
		{&pb.TailRequest{Key: "k", Attempt: 1, After: 1, Following: true, Existing: true}, []string{"begin 1", "lines 2 1", "attempt 2", "lines 1 3", "end"}},
		{&pb.TailRequest{Key: "k", Attempt: 2, After: 2, Existing: true}, []string{"begin 2", "lines 3 1", "end"}},
		{&pb.TailRequest{Key: "k", After: 2, Existing: true}, []string{"begin 2", "lines 3 1", "end"}},
	} {
		if got := s.parts(c.ask); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.ask, got, c.want)
		}
	}
	list, err := s.List(s.context(), &pb.ListRequest{Account: "A"})
	if err != nil || len(list.GetStreams()) != 1 || list.GetStreams()[0].GetAttempt() != 2 {
		t.Errorf("listed: %v, %v", list, err)
	}
}
