package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
	"github.com/harness/log-service/internal/backoff"
)

// maxInFlight limits the batches in flight: enough to use a slow link fully, few
// enough to resend.
const maxInFlight = 16

// pipeline is the sender of a Writer whose transport can have several batches in
// flight. Each batch carries its offset, so those that a lost connection leaves
// unacknowledged are resent over the next one.
//
// Batches of a Shared writer carry no offset. Only one is in flight at a time, so
// that the server recognizes it when it is resent.
type pipeline struct {
	*Writer
	pusher transport.Pusher

	begun    bool
	next     int64    // sequence of the next new batch
	inFlight []flight // oldest first
	pauses   pauses
	guard    *guard // of the connection; armed while an acknowledgement is due
	renewed  bool   // a new token has been tried since the last acknowledgement
	before   error  // of the last connection, since the last acknowledgement
}

// flight is an unacknowledged batch.
type flight struct {
	*batch
	offset int64 // zero: the batch carries none
}

func (f flight) end() int64 { return f.offset + f.lines }

// run delivers batches, reconnecting as needed.
func (p *pipeline) run() error {
	p.pauses = p.c.retry.within(p.patience).pauses()
	for {
		err := p.connection()
		if err == nil {
			return nil
		}
		op := "append to " + string(p.key)
		if p.ctx.Err() != nil {
			return p.ended(op)
		}
		err = p.c.explain(p.ctx, op, err)
		if gap, ok := errors.AsType[*logservice.SequenceError](err); ok && len(p.inFlight) > 0 && gap.Expected < p.inFlight[0].offset {
			continue // the next connection detects what is lost
		}
		if !p.renewed && p.c.renewed(err) {
			p.renewed = true
			continue
		}
		if !repeatable(err) {
			return err
		}
		wait, again := p.pauses.after(wantedPause(err))
		if !again {
			return err
		}
		p.before = err
		p.c.log.Debug("log writer lost its connection, making a new one", "key", p.key, "error", err, "wait", wait)
		if backoff.Sleep(p.ctx, wait) != nil {
			return p.ended(op)
		}
	}
}

// ended is the end of the Writer's context, with what failed before.
func (p *pipeline) ended(op string) error {
	if p.before == nil {
		return context.Cause(p.ctx)
	}
	return &endedError{op: op, cause: context.Cause(p.ctx), before: p.before}
}

// connection delivers over one connection until the writer is closed and
// everything is acknowledged, or the connection ends.
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
	defer func() { // in this order: end the call, and with it whatever waits for it
		cancel(nil)
		<-received
	}()
	return cutBy(ctx, p.exchange(ctx, push, acks))
}

// cutBy returns the cause that ended ctx, if it is one of the connection's own.
func cutBy(ctx context.Context, err error) error {
	if stalled, ok := errors.AsType[*transport.Unreachable](context.Cause(ctx)); ok && err != nil {
		return stalled
	}
	return err
}

// ack is an acknowledgement, or the error that ended them.
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

// begin asks for the next sequence of the log and resends what is in flight.
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
		// The server has lost acknowledged lines, or the stream was reopened.
		// Nothing can be resent; continue with new lines.
		p.serverLost(lost)
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

// exchange sends batches and handles acknowledgements as they come.
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
		wait := time.Hour // an acknowledgement frees a place
		if len(p.inFlight) < most {
			b, w, finished := p.due(time.Now())
			if b != nil {
				if err := p.sendNew(push, b); err != nil {
					return err
				}
				select { // handle acknowledgements even under a flood of lines
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

// send counts as progress once the server accepts more data.
func (p *pipeline) send(push transport.Push, f flight) error {
	err := push.Send(f.data, f.offset)
	p.guard.arm()
	return err
}

// take handles the acknowledgement of the oldest batch in flight.
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
	p.renewed, p.before = false, nil
	p.acknowledged(f.batch)
	return nil
}
