package grpcapi_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	grpcapi "github.com/harness/log-service/internal/api/grpc"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

func TestBatchesInFlightAreAcknowledgedInOrder(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	for _, tc := range []struct {
		key    string
		offset bool
	}{{"with-offset", true}, {"without", false}} {
		s.open(tc.key)
		stream, err := s.Push(s.context())
		if err != nil {
			t.Fatal(err)
		}
		const batches, each = 500, 3
		sent := make(chan error, 1)
		go func() {
			for n := range int64(batches) {
				var b strings.Builder
				for i := range int64(each) {
					fmt.Fprintf(&b, `{"pos":%d,"out":"x","time":"2026-01-01T00:00:00.5Z"}`+"\n", n*each+i)
				}
				r := &pb.PushRequest{Lines: []byte(b.String())}
				if n == 0 {
					r.Account, r.Key = "A", tc.key
				}
				if tc.offset {
					r.Offset = n*each + 1
				}
				if err := stream.Send(r); err != nil {
					sent <- err
					return
				}
			}
			sent <- stream.CloseSend()
		}()
		for n := range int64(batches) {
			ack, err := stream.Recv()
			if err != nil {
				t.Fatalf("%s: acknowledgement %d: %v", tc.key, n, err)
			}
			if want := (n+1)*each + 1; ack.GetNextSequence() != want {
				t.Fatalf("%s: acknowledgement %d says %d, want %d", tc.key, n, ack.GetNextSequence(), want)
			}
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last acknowledgement: %v", tc.key, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		got := s.read(tc.key, 0)
		for i, line := range got {
			if !strings.Contains(line, fmt.Sprintf(`"pos":%d,`, i)) {
				t.Fatalf("%s: line %d is %s", tc.key, i+1, line)
			}
		}
		if len(got) != batches*each {
			t.Errorf("%s: %d lines, want %d", tc.key, len(got), batches*each)
		}
	}
}

func TestARefusedBatchEndsThePush(t *testing.T) {
	s := startServer(t, grpcapi.Config{MaxLine: 1 << 10, MaxBody: 64 << 10}, 0)
	s.open("k")
	s.mustPush("k", `{"out":"1"}{"out":"2"}`)
	for _, tc := range []struct {
		name   string
		r      *pb.PushRequest
		code   codes.Code
		reason string
		says   string
	}{
		{"no log", &pb.PushRequest{Lines: []byte(`{}`)}, codes.InvalidArgument, "INVALID", "account is empty"},
		{"a path", &pb.PushRequest{Account: "A", Key: "../B/k", Lines: []byte(`{}`)}, codes.InvalidArgument, "INVALID", `segment ".."`},
		{"no stream", &pb.PushRequest{Account: "A", Key: "none", Lines: []byte(`{}`)}, codes.NotFound, "STREAM_NOT_FOUND", "stream: not found"},
		{"another account's", &pb.PushRequest{Account: "B", Key: "k", Lines: []byte(`{}`)}, codes.NotFound, "STREAM_NOT_FOUND", "stream: not found"},
		{"no JSON", &pb.PushRequest{Account: "A", Key: "k", Lines: []byte("{}\nhello")}, codes.InvalidArgument, "INVALID", "at byte 3"},
		{"half an array", &pb.PushRequest{Account: "A", Key: "k", Lines: []byte("[{}")}, codes.InvalidArgument, "INVALID", "at byte 3"},
		{"a gap", &pb.PushRequest{Account: "A", Key: "k", Lines: []byte(`{}`), Offset: 9}, codes.Aborted, "SEQUENCE_GAP", "the next line is 3"},
		{"a negative offset", &pb.PushRequest{Account: "A", Key: "k", Lines: []byte(`{}`), Offset: -1}, codes.InvalidArgument, "INVALID", "offset is -1"},
		{"too much", &pb.PushRequest{Account: "A", Key: "k", Lines: make([]byte, 200<<10)}, codes.ResourceExhausted, "", "larger than max"},
	} {
		stream, err := s.Push(s.context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(tc.r)
		_ = stream.Send(&pb.PushRequest{Account: "A", Key: "k", Lines: []byte(`{"out":"after"}`)}) // may find it ended
		_, err = stream.Recv()
		st := status.Convert(err)
		if st.Code() != tc.code || !strings.Contains(st.Message(), tc.says) || reason(st) != tc.reason {
			t.Errorf("%s: %v %q %s, want %v %q", tc.name, st.Code(), st.Message(), reason(st), tc.code, tc.says)
		}
		if tc.name == "a gap" {
			if m := info(st).GetMetadata(); m["expected"] != "3" || m["offset"] != "9" {
				t.Errorf("the gap's metadata are %v", m)
			}
		}
	}
	if got := s.read("k", 0); len(got) != 2 {
		t.Errorf("stored all the same: %q", got)
	}
}

func TestARepeatedBatchIsStoredOnce(t *testing.T) {
	s := startServer(t, grpcapi.Config{}, 0)
	s.open("k")
	const marked = `{"pos":0,"out":"a","time":"2026-01-01T00:00:00.5Z"}`
	for range 3 {
		if next := s.mustPush("k", marked); next != 2 {
			t.Errorf("next is %d, want 2", next)
		}
	}
	for _, overlap := range []string{`{"out":"b"}`, `{"out":"b"}{"out":"c"}`} {
		if _, err := s.push("k", overlap, 2); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.push("k", ` [{"out":"c"}, {"out":"d"}] `, 3); err != nil {
		t.Fatal(err)
	}
	want := []string{marked, `{"out":"b"}`, `{"out":"c"}`, `{"out":"d"}`}
	if got := s.read("k", 0); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", got, want)
	}
	if next, err := s.push("k", "", 0); next != 5 || err != nil {
		t.Errorf("asking for the next sequence: %d, %v", next, err)
	}
}

func info(st *status.Status) *errdetails.ErrorInfo {
	for _, d := range st.Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return i
		}
	}
	return nil
}

func reason(st *status.Status) string { return info(st).GetReason() }
