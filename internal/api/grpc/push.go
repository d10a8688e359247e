package grpcapi

import (
	"bytes"
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/logs"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

const (
	// pushAhead bounds the batches of one push that were read while earlier
	// ones are not durable yet.
	pushAhead = 64
	// mergeBytes bounds what is appended at once: enough to sync a slow disk
	// rarely, and half of what the engine writes at once.
	mergeBytes = 1 << 20
)

// batch is a batch that was read and checked. Its lines count against the
// budget until they are durable.
type batch struct {
	id     logservice.ID
	data   logs.Lines
	holder string // the account that held counts against
	held   int64
	buffer []byte // that data is in
}

// Push implements LogStream. One goroutine reads and checks batches while
// another makes earlier ones durable, all queued ones together:
//
//	client ─► receive ─► queue ─► run: Service.Append ─► acknowledgements ─► client
func (s *Server) Push(stream grpc.BidiStreamingServer[logservicev1.PushRequest, logservicev1.PushResponse]) error {
	return s.supervise(stream, func(send func(any) error) error {
		p := &push{Server: s, send: send, queue: make(chan batch, pushAhead), ended: make(chan struct{})}
		ctx, cancel := context.WithCancel(stream.Context())
		ran := make(chan struct{})
		s.work.Go(func() {
			p.receive(ctx, stream)
			<-ran
			p.drop()
		})
		defer close(ran)
		defer cancel()
		return p.run(ctx)
	})
}

type push struct {
	*Server
	send  func(any) error
	queue chan batch
	ended chan struct{} // closed by receive, after err is set
	err   error         // why no more batches follow; io.EOF: the client is done

	id    logservice.ID // of requests that name none; receive's own
	group []batch       // what is being appended; run's own
	aside []batch       // taken from the queue, for the next group; run's own
	ack   logservicev1.PushResponse
}

// receive reads batches into the queue until one is rejected, the client is
// done or disconnects, or the server stops.
func (p *push) receive(ctx context.Context, stream grpc.BidiStreamingServer[logservicev1.PushRequest, logservicev1.PushResponse]) {
	defer close(p.ended)
	for {
		r := &incoming{Incoming: logservicev1.Incoming{Alloc: p.buffers.Get}}
		if err := stream.RecvMsg(r); err != nil {
			p.err = err
			return
		}
		b, err := p.check(ctx, r)
		if err != nil {
			p.err = err
			return
		}
		select {
		case p.queue <- b:
		case <-ctx.Done():
			p.release([]batch{b})
			return
		}
		select {
		case <-p.stop:
			p.err = stopping()
			return
		default:
		}
	}
}

// check decompresses and scans a batch, which then counts against the budget.
func (p *push) check(ctx context.Context, r *incoming) (b batch, err error) {
	defer func() {
		if err != nil {
			p.release([]batch{b})
			b = batch{}
		}
	}()
	b.buffer = r.Buffer
	if r.compressed != nil {
		// The log that the message is for is known only once it is decompressed.
		b.holder = callerOf(ctx).Own()
		b.buffer, b.held, err = p.inflate(ctx, b.holder, r.compressed)
		if err == nil {
			r.compressed, err = nil, r.Parse(b.buffer)
		}
		if err != nil {
			return b, err
		}
	}
	if r.GetAccount() != "" || r.GetKey() != "" || p.id == (logservice.ID{}) {
		if p.id, err = callerOf(ctx).log(r.GetAccount(), r.GetKey()); err != nil {
			return b, err
		}
	}
	if r.GetOffset() < 0 {
		return b, logservice.Invalidf("offset is %d: use a sequence, from 1 on, or 0 for the next one", r.GetOffset())
	}
	if b.held == 0 {
		n := int64(len(r.GetLines()))
		if err := p.budget.Take(ctx, p.id.Account, n); err != nil {
			return b, err
		}
		b.holder, b.held = p.id.Account, n
	}
	b.id = p.id
	if b.data, err = parse(r.GetLines(), p.maxLine); err != nil {
		return b, err
	}
	b.data.Offset = r.GetOffset()
	return b, nil
}

// parse scans lines: objects one after the other, or an array of them.
func parse(data []byte, maxLine int) (logs.Lines, error) {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		return lines.Array(data, maxLine)
	}
	return lines.NDJSON(data, maxLine)
}

// run appends the batches in order and acknowledges them.
func (p *push) run(ctx context.Context) error {
	for {
		switch err := p.next(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		p.addQueued()
		if err := p.commit(ctx); err != nil {
			return err
		}
	}
}

// next waits for the next batch and begins a group with it.
func (p *push) next() error {
	p.group = append(p.group[:0], p.aside...)
	p.aside = p.aside[:0]
	if len(p.group) > 0 {
		return nil
	}
	select {
	case b := <-p.queue:
		p.group = append(p.group, b)
		return nil
	case <-p.ended:
	case <-p.stop:
	}
	select { // what was read before is not lost
	case b := <-p.queue:
		p.group = append(p.group, b)
		return nil
	default:
	}
	select {
	case <-p.ended:
		return p.err
	default:
		return stopping()
	}
}

// addQueued adds queued batches that continue the first one. Only batches that
// state their sequence are merged: any other must remain as it is, so that a
// retry of it is recognized.
func (p *push) addQueued() {
	size := len(p.group[0].data.Data)
	for {
		select {
		case b := <-p.queue:
			last := p.group[len(p.group)-1]
			if size += len(b.data.Data); size > mergeBytes || !b.continues(last) {
				p.aside = append(p.aside, b)
				return
			}
			p.group = append(p.group, b)
		default:
			return
		}
	}
}

func (b *batch) continues(a batch) bool {
	return b.id == a.id && a.data.Offset > 0 && a.data.Count > 0 && b.data.Count > 0 && b.data.Offset == a.data.Offset+a.data.Count
}

// commit makes the group durable and acknowledges each of its batches.
func (p *push) commit(ctx context.Context) error {
	all := p.group[0].data
	if len(p.group) > 1 {
		merged := p.merge()
		defer p.buffers.Put(merged)
		all.Data, all.Count = merged, 0
		for _, b := range p.group {
			all.Count += b.data.Count
		}
	}
	next, err := p.service.Append(ctx, p.group[0].id, all)
	if err != nil {
		return err
	}
	for i, b := range p.group {
		p.ack.NextSequence = next
		if i < len(p.group)-1 {
			p.ack.NextSequence = b.data.Offset + b.data.Count
		}
		if err := p.send(&p.ack); err != nil {
			return err
		}
	}
	p.release(p.group)
	p.group = p.group[:0]
	return nil
}

// merge copies the lines of the group into one buffer.
func (p *push) merge() []byte {
	size := 0
	for _, b := range p.group {
		size += len(b.data.Data)
	}
	merged := p.buffers.Get(int64(size))
	for _, b := range p.group {
		merged = append(merged, b.data.Data...)
	}
	return merged
}

// release releases batches: the engine has copied what it keeps.
func (p *push) release(batches []batch) {
	for _, b := range batches {
		p.budget.Put(b.holder, b.held)
		p.buffers.Put(b.buffer)
	}
	clear(batches)
}

// drop releases what will not be appended, once nothing else uses p.
func (p *push) drop() {
	p.release(p.group)
	p.release(p.aside)
	for {
		select {
		case b := <-p.queue:
			p.release([]batch{b})
		default:
			return
		}
	}
}
