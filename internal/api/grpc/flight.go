package grpcapi

import (
	"bytes"
	"sync"

	"google.golang.org/grpc"

	"github.com/harness/log-service/internal/logs"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

const (
	// maxRun limits the lines in a message. A reader whose connection is
	// interrupted within a message receives it again, so large ones never
	// arrive over bad connections; small ones cost more per line.
	maxRun = 64 << 10
	// minRun limits a message, and all of a tail's messages in flight, while
	// those of all tails exceed flightBytes: that much is held for readers that
	// receive nothing.
	minRun      = 4 << 10
	flightBytes = 32 << 20
)

// tailStream is the stream of a tail. gRPC buffers messages that the peer has
// not received; the stream counts their bytes, and waits after a send until
// there are few.
type tailStream struct {
	grpc.ServerStream
	s       *Server
	run     logservicev1.Run
	drained chan struct{} // has an element when bytes were sent; capacity 1

	mu     sync.Mutex // guards all below
	bytes  int64      // in flight
	closed bool
}

// message makes a message of the first of batches, and returns the last
// sequence that it covers. Lines that are only a part of a batch are copied, so
// that a stalled reader does not hold the rest. whole reports that the batches
// are complete, as the engine returned them.
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
	if n == 0 { // part of the first batch
		data := b.Data[:bytes.LastIndexByte(b.Data[:min(limit, len(b.Data))], '\n')+1]
		if len(data) == 0 { // a longer line
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

// Put implements mem.BufferPool. By then the operating system has the lines of
// a message, or their stream has ended.
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

// close stops counting what is still in flight.
func (o *tailStream) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.s.flight.Add(-o.bytes)
}
