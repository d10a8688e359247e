package grpcapi_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	grpcapi "github.com/harness/log-service/internal/api/grpc"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

func TestTheTailOfADamagedLogEnds(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	// Garbage after the end of a gzip file of "hello\nworld\n".
	const packed = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x2a\xcf\x2f\xca\x49\xe1\x02\x00\x92\xb6\xec\x3d\x0c\x00\x00\x00garbage"
	if err := s.service.PutBlob(t.Context(), s.id("k"), strings.NewReader(packed), false); err != nil {
		t.Fatal(err)
	}
	for after, want := range []string{"begin lines gap end", "begin lines gap end", "begin gap end", "begin end"} {
		stream, err := s.Tail(s.context(), &pb.TailRequest{Account: "A", Key: "k", After: int64(after)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch p := m.GetPart().(type) {
			case *pb.TailResponse_Begin:
				got = append(got, "begin")
			case *pb.TailResponse_Batch:
				got = append(got, "lines")
			case *pb.TailResponse_Gap:
				got = append(got, "gap")
				if p.Gap.GetFirstSequence() != 3 || p.Gap.GetLastSequence() != 3 || !strings.Contains(string(p.Gap.GetLine()), `"damage":"gzip: `) {
					t.Errorf("%v", p.Gap)
				}
			case *pb.TailResponse_End:
				got = append(got, "end")
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("after %d: %s, want %s", after, got, want)
		}
	}
}
