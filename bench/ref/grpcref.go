package ref

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/harness/log-service/bench/load"
	pb "github.com/harness/log-service/proto/logservice/v1"
)

// GRPC is a bare grpc-go server of the same definition: standard codec, no
// checks, nothing durable. It acknowledges each batch and forgets it, except
// for logs below keptPrefix: those it keeps in memory, as prepared messages,
// for its readers.
const GRPC = "grpc"

// KeptPrefix begins the keys of logs that GRPC keeps.
const KeptPrefix = "kept/"

// serveGRPC answers until the process ends.
func serveGRPC(addr string) error {
	if _, err := load.Loopback(addr); err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.InitialWindowSize(load.GRPCWindow), grpc.InitialConnWindowSize(4*load.GRPCWindow))
	pb.RegisterLogStreamServer(s, &bareStream{logs: map[string]*kept{}})
	return s.Serve(l)
}

type bareStream struct {
	pb.UnimplementedLogStreamServer

	mu   sync.Mutex // guards logs
	logs map[string]*kept
}

// kept is a log of prepared messages.
type kept struct {
	mu       sync.Mutex // guards what follows
	messages []*pb.TailResponse
	next     int64
	wake     chan struct{} // closed at every change
}

func (s *bareStream) log(key string) *kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.logs[key]
	if k == nil {
		k = &kept{next: 1, wake: make(chan struct{})}
		s.logs[key] = k
	}
	return k
}

func (s *bareStream) Push(stream grpc.BidiStreamingServer[pb.PushRequest, pb.PushResponse]) error {
	var to *kept
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(r.GetKey(), KeptPrefix) {
			to = s.log(r.GetKey())
		}
		if to != nil {
			to.add(r.GetLines())
		}
		if err := stream.Send(&pb.PushResponse{NextSequence: r.GetOffset()}); err != nil {
			return err
		}
	}
}

// add keeps a batch as a message. It knows what the generator's lines look
// like and does not check them.
func (k *kept) add(lines []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	count := int64(bytes.Count(lines, []byte{'\n'}))
	b := &pb.TailBatch{FirstSequence: k.next, Count: count, Lines: lines}
	k.messages = append(k.messages, &pb.TailResponse{Part: &pb.TailResponse_Batch{Batch: b}})
	k.next += count
	close(k.wake)
	k.wake = make(chan struct{})
}

func (k *kept) since(i int) (news []*pb.TailResponse, wake chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.messages[i:], k.wake
}

// Tail sends existing and new lines until the client leaves.
func (s *bareStream) Tail(r *pb.TailRequest, stream grpc.ServerStreamingServer[pb.TailResponse]) error {
	k := s.log(r.GetKey())
	if err := stream.Send(&pb.TailResponse{Part: &pb.TailResponse_Begin{Begin: &pb.TailBegin{}}}); err != nil {
		return err
	}
	for i := 0; ; {
		news, wake := k.since(i)
		for _, m := range news {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		i += len(news)
		select {
		case <-wake:
		case <-stream.Context().Done():
			return nil
		}
	}
}
