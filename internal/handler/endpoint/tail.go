package endpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Tail sends the log of id as server-sent events, from the line after the
// one that the client had last: its lines so far, then those to come, then
// the end mark. An unknown log is an empty one.
//
// A position beyond the end is kept: lines up to it are not sent when they
// come. On a log that has ended the end mark follows at once.
func (a *API) Tail(c *Call, l Log) error {
	after, err := resumeAfter(c)
	if err != nil {
		return err
	}
	// The cursor outlives the request where the tail takes its connection over.
	cursor, state, err := a.service.Follow(context.WithoutCancel(c.Request.Context()), l.id, after)
	switch {
	case errors.Is(err, logservice.ErrStreamNotFound):
		cursor, state = ended{}, logservice.StateUnknown
	case err != nil:
		return err
	}
	h := c.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("Connection", "keep-alive")
	h.Set("X-Accel-Buffering", "no")
	Harmless(h)
	h.Set(logservice.HeaderState, state)
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
	out := &plainOutput{a.paced(c)}
	if err = a.follow(c.Request.Context(), cursor, out); err == nil {
		out.done()
	}
	return Aborted(err)
}

// resumeAfter is the sequence of the last line that the client has. A browser
// that reconnects repeats the URL and adds the header, so the header counts.
func resumeAfter(c *Call) (int64, error) {
	if s := c.Request.Header.Get("Last-Event-ID"); s != "" {
		return sequence("Last-Event-ID", s, 0)
	}
	if s := c.Query.Get("lastEventId"); s != "" {
		return sequence("lastEventId", s, 0)
	}
	return c.Query.Sequence("after", 0)
}

// output is the way to one reader: a connection of our own, or an answer of
// net/http's.
type output interface {
	// send sends parts as one write where it can, at the reader's pace. It
	// consumes the slice, not the bytes.
	send(parts net.Buffers) error
	// quiet is how long nothing has been sent.
	quiet(now time.Time) time.Duration
}

// follow sends what cursor yields until the log, the client (ctx) or the
// server ends. Lines that came together go out together: the more there are,
// the less each costs.
func (a *API) follow(ctx context.Context, cursor logs.Cursor, out output) error {
	idle := time.NewTimer(a.ping)
	defer idle.Stop()
	if err := sendText(out, pingFrame); err != nil {
		return err
	}
	for {
		batches, err := cursor.Next(ctx)
		if len(batches) > 0 {
			if err := sendBatches(out, batches); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return sendText(out, eofFrame)
		case err != nil:
			return err
		}
		if more, err := a.wait(ctx, cursor, out, idle); !more {
			return err
		}
	}
}

// wait returns true once cursor has something, and pings meanwhile.
func (a *API) wait(ctx context.Context, cursor logs.Cursor, out output, idle *time.Timer) (more bool, err error) {
	ready := cursor.Ready()
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
			// The timer is not reset by every write: it looks when the last was.
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

func sendText(out output, s string) error { return out.send(net.Buffers{[]byte(s)}) }

func sendBatches(out output, batches []*logs.Batch) error {
	parts := partsPool.Get().(*net.Buffers)
	defer func() {
		clear((*parts)[:cap(*parts)])
		*parts = (*parts)[:0]
		partsPool.Put(parts)
	}()
	for _, b := range batches {
		*parts = append(*parts, b.Encoded(frames))
	}
	return out.send(*parts)
}

// ended is the cursor of a log that does not exist.
type ended struct{}

func (ended) Next(context.Context) ([]*logs.Batch, error) { return nil, io.EOF }
func (ended) Ready() <-chan struct{}                      { return nil }
func (ended) Close()                                      {}

// plainOutput is the output through net/http, for clients that speak another
// protocol than HTTP/1.1.
type plainOutput struct{ paced }

func (o *plainOutput) send(parts net.Buffers) error {
	for _, p := range parts {
		if _, err := o.Write(p); err != nil {
			return err
		}
	}
	return o.flush()
}

func (o *plainOutput) quiet(now time.Time) time.Duration { return now.Sub(o.last) }
