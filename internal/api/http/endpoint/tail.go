package endpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// Tail sends the log of id as server-sent events, from the line after the last
// one that the client has: its lines so far, then new ones, then the end mark.
// An unknown log is an empty one. Without attempt it continues in the later
// attempts of the log, each after a line that announces it.
//
// A position beyond the end remains valid: lines up to it are not sent when
// they arrive. On an ended log the end mark follows at once.
func (a *API) Tail(c *Call, l Log) error {
	from, err := resumeFrom(c)
	if err != nil {
		return err
	}
	// The cursor outlives the request if the tail takes over its connection.
	cursor, state, err := a.service.Follow(context.WithoutCancel(c.Request.Context()), l.ID(), from)
	switch {
	case errors.Is(err, logservice.ErrStreamNotFound):
		cursor, state = ended{}, logservice.StateUnknown
	case err != nil:
		return comeBack(c, err)
	}
	h := c.Header()
	eventStream(h)
	h.Set("Connection", "keep-alive")
	h.Set(logservice.HeaderState, state)
	if n := cursor.Attempt(); n > 1 {
		h.Set(logservice.HeaderAttempt, strconv.FormatInt(n, 10))
	}
	if c.Request.Method == http.MethodHead {
		cursor.Close()
		c.WriteHeader(http.StatusOK)
		return nil
	}
	if c.Request.ProtoAtLeast(1, 1) && c.Request.ProtoMajor == 1 {
		return a.takeOver(c, cursor)
	}
	defer cursor.Close()
	c.WriteHeader(http.StatusOK)
	out := newPlainOutput(a.paced(c))
	ctx, gone := context.WithCancel(c.Request.Context())
	defer gone()
	defer a.auth.OnRevoked(c.grant(), gone)()
	if err = a.follow(ctx, cursor, out); err == nil {
		out.done()
	}
	return Aborted(err)
}

func eventStream(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	Harmless(h)
}

// comeBack answers a reader that cannot be served now: 200, the reason as a
// comment, and when to come back. After a 503, the EventSource of a browser never
// tries again.
func comeBack(c *Call, err error) error {
	f := api.Describe(c.Request.Context(), err)
	if f.RetryAfter == 0 {
		return err
	}
	c.answered = err
	h := c.Header()
	eventStream(h)
	h.Set("Connection", "close")
	h.Set("Retry-After", seconds(f.RetryAfter))
	retry := strconv.FormatInt(f.RetryAfter.Milliseconds(), 10)
	return c.send(http.StatusOK, pingFrame+": "+strings.ReplaceAll(f.Message, "\n", " ")+"\nretry: "+retry+"\n")
}

// resumeFrom is the position of the last line that the client has. A browser
// that reconnects repeats the URL and adds the header, so the header counts.
// With attempt=N a position counts in that attempt only; a number without an
// attempt is a position in it.
func resumeFrom(c *Call) (from service.From, err error) {
	attempt, err := c.Query.Sequence("attempt", 1)
	if err != nil {
		return from, err
	}
	for _, given := range []param{
		{"Last-Event-ID", c.Request.Header.Get("Last-Event-ID")},
		{"lastEventId", c.Query.Get("lastEventId")},
		{"after", c.Query.Get("after")},
	} {
		if given.value == "" {
			continue
		}
		// What is no position is none: the reader gets the log from its start. A
		// browser would give up forever on an error.
		from.Position, _ = logservice.ParsePosition(given.value)
		if attempt > 0 && from.Attempt != attempt && strings.Contains(given.value, "-") {
			from.Sequence = 0 // of another attempt
		}
		break
	}
	if attempt > 0 {
		from.Attempt, from.Only = attempt, true
	}
	follow, given, err := c.Query.Bool("follow")
	from.Existing = given && !follow
	return from, err
}

// output sends to one reader: over a connection that was taken over, or through
// net/http.
type output interface {
	// send sends parts, if possible in one write, as far as the reader accepts
	// them at once, and returns the number of bytes. It consumes the slice, and
	// keeps none of the bytes.
	send(parts net.Buffers) (n int, err error)
	// drain returns once the reader accepts more. It follows every send, when
	// nothing is held for that reader any more.
	drain() error
	// quiet returns how long nothing has been sent.
	quiet(now time.Time) time.Duration
}

// follow sends what cursor yields until the log, the client (ctx) or the server
// ends. Lines that arrived together are sent together: the more there are, the
// less each costs. What a reader does not accept at once is not held for it:
// the cursor returns to what it has.
func (a *API) follow(ctx context.Context, cursor logs.Reader, out output) error {
	idle := time.NewTimer(a.ping)
	defer idle.Stop()
	if err := sendText(out, pingFrame); err != nil {
		return err
	}
	begun := 0 // bytes of the next event that the reader has already
	for {
		batches, err := cursor.Next(ctx)
		if len(batches) > 0 {
			p, err := sendBatches(out, batches, frames(cursor.Attempt()), begun)
			if err != nil {
				return err
			}
			if begun = p.begun; !p.all {
				cursor.Rewind(p.after)
			}
		}
		switch {
		case errors.Is(err, io.EOF) && begun > 0:
			return errUnfinished
		case errors.Is(err, io.EOF):
			return sendText(out, eofFrame)
		case err != nil:
			return err
		}
		ready := cursor.Ready()
		if err := out.drain(); err != nil {
			return err
		}
		if more, err := a.wait(ctx, ready, out, idle); !more {
			return err
		}
	}
}

// wait returns true once ready is closed, and pings meanwhile.
func (a *API) wait(ctx context.Context, ready <-chan struct{}, out output, idle *time.Timer) (more bool, err error) {
	for {
		select {
		case <-ready:
			// A stop must also reach a tail that always has more.
			select {
			case <-a.stop:
				return false, nil
			default:
				return true, nil
			}
		case <-a.stop:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case now := <-idle.C:
			// Writes do not reset the timer: it checks when the last one was.
			if quiet := out.quiet(now); quiet < a.ping {
				idle.Reset(a.ping - quiet)
				continue
			}
			idle.Reset(a.ping)
			if err := sendText(out, pingFrame); err != nil {
				return false, err
			}
		}
	}
}

// sendText sends a few bytes, and waits until the reader has accepted them.
func sendText(out output, text string) error {
	for {
		n, err := out.send(net.Buffers{[]byte(text)})
		if err == nil {
			err = out.drain()
		}
		if text = text[n:]; err != nil || text == "" {
			return err
		}
	}
}

// progress is what a reader has received.
type progress struct {
	all   bool  // everything that was sent
	after int64 // otherwise the last line that it has
	begun int   // and how many bytes of the next event
}

// sendBatches sends batches as far as the reader accepts them at once; it
// already has begun bytes of the first event.
func sendBatches(out output, batches []*logs.Batch, frames framing, begun int) (progress, error) {
	if begun > 0 && (batches[0].Gap || batches[0].Begins > 0) { // and it was none: the reader resumes after its last whole event
		return progress{}, errUnfinished
	}
	parts := partsPool.Get().(*net.Buffers)
	defer func() {
		clear((*parts)[:cap(*parts)])
		*parts = (*parts)[:0]
		partsPool.Put(parts)
	}()
	size := -begun
	for _, b := range batches {
		f := b.Encoded(frames)
		*parts = append(*parts, f)
		size += len(f)
	}
	(*parts)[0] = (*parts)[0][begun:]
	n, err := out.send(*parts)
	if err != nil || n == size {
		return progress{all: true}, err
	}
	return reached(batches, frames, n+begun), nil
}

// reached returns the progress of a reader that has the first n bytes of the
// events of batches, but not all.
func reached(batches []*logs.Batch, frames framing, n int) progress {
	for _, b := range batches {
		f := b.Encoded(frames)
		if n >= len(f) {
			n -= len(f)
			continue
		}
		p := progress{after: b.First - 1, begun: n}
		if events := bytes.Count(f[:n], eventEnd); events > 0 {
			p.after += int64(events)
			p.begun = n - bytes.LastIndex(f[:n], eventEnd) - len(eventEnd)
		}
		return p
	}
	return progress{all: true}
}

// ended is the cursor of a log that does not exist.
type ended struct{}

func (ended) Next(context.Context) ([]*logs.Batch, error) { return nil, io.EOF }
func (ended) Attempt() int64                              { return 1 }
func (ended) First() int64                                { return 1 }
func (ended) Ready() <-chan struct{}                      { return nil }
func (ended) Rewind(int64)                                {}
func (ended) Close()                                      {}

// plainOutput is the output through net/http, for protocols other than
// HTTP/1.1.
type plainOutput struct {
	paced
	pieces
}

func newPlainOutput(p paced) *plainOutput {
	o := &plainOutput{paced: p}
	o.write = func(b []byte) error {
		if _, err := o.Write(b); err != nil {
			return err
		}
		return o.flush()
	}
	return o
}

func (o *plainOutput) send(parts net.Buffers) (n int, err error) { return o.try(parts) }

func (o *plainOutput) drain() error { return o.ready() }

func (o *plainOutput) quiet(now time.Time) time.Duration { return now.Sub(o.last) }
