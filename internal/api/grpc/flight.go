package grpcapi

import (
	"bytes"
	"sync"

	"google.golang.org/grpc"

	"github.com/harness/log-service/internal/logs"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

const (
	// maxRun is where a message with lines ends: a reader whose connection is
	// cut in the middle of one gets it again, so large ones are lost on bad
	// connections, and small ones cost more each.
	maxRun = 64 << 10
	// minRun is where it ends, and all that a tail may have on its way, while
	// the tails together have more than flightBytes: so much is held for readers
	// that take nothing.
	minRun      = 4 << 10
	flightBytes = 32 << 20
)

// tailStream is the stream of a tail. gRPC takes messages that its peer does not
// take yet; the stream knows how many bytes these are, and waits after a send
// until there are few.
type tailStream struct {
	grpc.ServerStream
	s       *Server
	run     logservicev1.Run
	drained chan struct{} // holds one when bytes have left; capacity 1

	mu     sync.Mutex // guards all below
	bytes  int64      // on their way
	closed bool
}

// message makes a message of the first of batches, and returns the last
// sequence that it covers. Lines are copied where they are a part of more:
// a reader that takes nothing must not hold the rest. whole says that the
// batches are what an engine has, and not the rest of them.
func (o *tailStream) message(batches []*logs.Batch, whole bool) (m any, after int64) {
	b := batches[0]
	if b.Begins > 0 {
		begins := &logservicev1.TailAttempt{Attempt: b.Begins, Line: bytes.TrimSuffix(b.Data, newline)}
		return &logservicev1.TailResponse{Part: &logservicev1.TailResponse_Attempt{Attempt: begins}}, b.Last()
	}
	if b.Gap {
		gap := &logservicev1.TailGap{FirstSequence: b.First, LastSequence: b.Last(), Line: bytes.TrimSuffix(b.Data, newline)}
		return &logservicev1.TailResponse{Part: &logservicev1.TailResponse_Gap{Gap: gap}}, b.Last()
	}
	limit := maxRun
	if o.s.flight.Load() > flightBytes {
		limit = minRun
	}
	size, n := 0, 0
	for n < len(batches) && !batches[n].Gap && size+len(batches[n].Data) <= limit {
		size += len(batches[n].Data)
		n++
	}
	o.run = logservicev1.Run{FirstSequence: b.First, Lines: o.run.Lines[:0]}
	if whole && n == len(batches) {
		for _, b := range batches {
			o.run.Count += b.Count
			o.run.Lines = append(o.run.Lines, b.Data)
		}
		return &o.run, batches[n-1].Last()
	}
	if n == 0 { // a part of the first
		data := b.Data[:bytes.LastIndexByte(b.Data[:min(limit, len(b.Data))], '\n')+1]
		if len(data) == 0 { // a line that is longer
			data = b.Data[:bytes.IndexByte(b.Data, '\n')+1]
		}
		batches, n, size = []*logs.Batch{{First: b.First, Count: int64(bytes.Count(data, newline)), Data: data}}, 1, len(data)
	}
	lines := o.s.buffers.Get(int64(size))
	for _, b := range batches[:n] {
		lines = append(lines, b.Data...)
		o.run.Count += b.Count
	}
	o.run.Lines, o.run.Pool = append(o.run.Lines, lines), o
	o.add(int64(cap(lines)))
	return &o.run, batches[n-1].Last()
}

var newline = []byte{'\n'}

// SendMsg implements grpc.ServerStream. It returns when more may be sent.
func (o *tailStream) SendMsg(m any) error {
	if err := o.ServerStream.SendMsg(m); err != nil {
		return err
	}
	for !o.takesMore() {
		select {
		case <-o.drained:
		case <-o.s.stop:
			return nil
		case <-o.Context().Done():
			return o.Context().Err()
		}
	}
	return nil
}

func (o *tailStream) takesMore() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes == 0 || o.bytes <= maxRun && o.s.flight.Load() <= flightBytes
}

// Get implements mem.BufferPool; nobody calls it.
func (o *tailStream) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool: the lines of a message are with the system, or
// their stream has ended.
func (o *tailStream) Put(b *[]byte) {
	o.add(-int64(cap(*b)))
	o.s.buffers.Put(*b)
	select {
	case o.drained <- struct{}{}:
	default:
	}
}

func (o *tailStream) add(n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.bytes += n
		o.s.flight.Add(n)
	}
}

// close takes what is still on its way out of the account.
func (o *tailStream) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.s.flight.Add(-o.bytes)
}
