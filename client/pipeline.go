package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
)

// maxInFlight bounds the batches of a Writer that are on their way: enough to
// keep a server busy over a slow link, and few enough to be sent again.
const maxInFlight = 16

// pipeline is the sender of a Writer whose transport keeps several batches on
// their way. Each says where it starts, so what a lost connection leaves
// without an answer is sent again over the next one.
//
// Batches of a Shared writer say no sequence: one is on its way at a time, so
// that its repetition is recognised.
type pipeline struct {
	*Writer
	pusher transport.Pusher

	begun    bool
	next     int64    // the sequence of the next new batch
	inFlight []flight // oldest first
	pauses   pauses
	guard    *guard // of the connection: armed while an answer is due
}

// flight is a batch that is not acknowledged yet.
type flight struct {
	*batch
	offset int64 // zero: it says none
}

func (f flight) end() int64 { return f.offset + f.lines }

// run delivers over one connection after the other.
func (p *pipeline) run() error {
	p.pauses = pauses{Retry: p.c.retry}
	if p.pauses.Total > 0 {
		p.pauses.Total = p.patience
	}
	for {
		err := p.connection()
		if err == nil {
			return nil
		}
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		err = p.c.explain(p.ctx, "append to "+string(p.key), err)
		if behind, ok := errors.AsType[*logservice.SequenceError](err); ok && len(p.inFlight) > 0 && behind.Expected < p.inFlight[0].offset {
			continue // the next connection sees what is lost
		}
		if !repeatable(err) {
			return err
		}
		wait, again := p.pauses.after(wantedPause(err))
		if !again {
			return err
		}
		p.c.log.Debug("log writer lost its connection, making a new one", "key", p.key, "error", err, "wait", wait)
		if cause := sleep(p.ctx, wait); cause != nil {
			return cause
		}
	}
}

// connection delivers over one connection, until everything is acknowledged
// and nothing will come, or the connection ends.
func (p *pipeline) connection() error {
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	p.guard = newGuard(stallTimeout, func() { cancel(&transport.Unreachable{Err: errStalled}) })
	defer p.guard.stop()
	p.guard.arm()
	push, err := p.pusher.Push(ctx, string(p.key), p.compress)
	if err != nil {
		return cutBy(ctx, err)
	}
	if err := p.begin(push); err != nil {
		return cutBy(ctx, err)
	}
	acks := make(chan ack, maxInFlight)
	received := make(chan struct{})
	go func() {
		defer close(received)
		receive(ctx, push, acks)
	}()
	defer func() { // in this order: the call ends, and so does what waits for it
		cancel(nil)
		<-received
	}()
	return cutBy(ctx, p.exchange(ctx, push, acks))
}

// cutBy is the reason that ended ctx, where it is one of a connection's own.
func cutBy(ctx context.Context, err error) error {
	if stalled, ok := errors.AsType[*transport.Unreachable](context.Cause(ctx)); ok && err != nil {
		return stalled
	}
	return err
}

// ack is an acknowledgement, or why none comes any more.
type ack struct {
	next int64
	err  error
}

func receive(ctx context.Context, push transport.Push, acks chan<- ack) {
	for {
		next, err := push.Recv()
		select {
		case acks <- ack{next, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// begin asks where the log stands, and sends again what is in flight.
func (p *pipeline) begin(push transport.Push) error {
	if err := push.Send(nil, 0); err != nil {
		return err
	}
	next, err := push.Recv()
	if err != nil {
		return err
	}
	if err := p.align(next); err != nil {
		return err
	}
	for _, f := range p.inFlight {
		if err := p.send(push, f); err != nil {
			return err
		}
		p.retried()
	}
	return nil
}

// align compares what was sent with what the server has.
func (p *pipeline) align(next int64) error {
	switch {
	case p.shared:
		return nil
	case !p.begun:
		p.begun, p.next = true, next
		return nil
	case next > p.next:
		return p.othersWrite(next)
	}
	first := p.next
	if len(p.inFlight) > 0 {
		first = p.inFlight[0].offset
	}
	if lost := first - next; lost > 0 {
		// The server has lost lines that it had acknowledged, or the stream
		// was opened anew. What is left to say is what comes now.
		p.lostByServer(lost)
		for i := range p.inFlight {
			p.inFlight[i].offset -= lost
		}
		p.next -= lost
	}
	return nil
}

func (p *pipeline) othersWrite(next int64) error {
	return fmt.Errorf("%w: the log has %d lines instead of %d: others write to it, and each needs Shared",
		logservice.ErrConflict, next-1, p.next-1)
}

// exchange sends what comes and takes what is acknowledged.
func (p *pipeline) exchange(ctx context.Context, push transport.Push, acks <-chan ack) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	most := maxInFlight
	if p.shared {
		most = 1
	}
	for {
		if len(p.inFlight) == 0 {
			p.guard.disarm()
		}
		wait := time.Hour // an acknowledgement makes room
		if len(p.inFlight) < most {
			b, w, finished := p.due(time.Now())
			if b != nil {
				if err := p.sendNew(push, b); err != nil {
					return err
				}
				select { // do not let answers wait for a flood
				case a := <-acks:
					if err := p.take(a); err != nil {
						return err
					}
				default:
				}
				continue
			}
			if finished && len(p.inFlight) == 0 {
				return nil
			}
			wait = w
		}
		timer.Reset(wait)
		select {
		case a := <-acks:
			if err := p.take(a); err != nil {
				return err
			}
		case <-p.wake:
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *pipeline) sendNew(push transport.Push, b *batch) error {
	f := flight{batch: b}
	if !p.shared {
		f.offset = p.next
		p.next += b.lines
	}
	p.inFlight = append(p.inFlight, f)
	return p.send(push, f)
}

// send counts as progress once the server takes more.
func (p *pipeline) send(push transport.Push, f flight) error {
	err := push.Send(f.data, f.offset)
	p.guard.arm()
	return err
}

// take takes the acknowledgement of the oldest batch in flight.
func (p *pipeline) take(a ack) error {
	if a.err != nil {
		return a.err
	}
	if len(p.inFlight) == 0 {
		return fmt.Errorf("append to %s: an acknowledgement of nothing: %w", p.key, logservice.ErrUnsupported)
	}
	f := p.inFlight[0]
	if !p.shared && (a.next < f.end() || a.next > p.next) {
		return p.othersWrite(a.next)
	}
	p.inFlight = p.inFlight[1:]
	p.guard.arm()
	p.pauses.succeeded()
	p.acknowledged(f.batch)
	return nil
}
