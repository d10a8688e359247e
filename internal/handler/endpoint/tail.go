package endpoint

import (
	"errors"
	"io"
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
func (a *API) Tail(c *Call, id logservice.ID) error {
	after, err := resumeAfter(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	cursor, state, err := a.service.Follow(ctx, id, after)
	switch {
	case errors.Is(err, logservice.ErrStreamNotFound):
		state = logservice.StateUnknown
	case err != nil:
		return err
	default:
		defer cursor.Close()
	}
	h := c.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("Connection", "keep-alive")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(logservice.HeaderState, state)
	c.WriteHeader(http.StatusOK)
	if c.Request.Method == http.MethodHead {
		return nil
	}
	t := tail{a.paced(c)}
	if err := t.text(pingFrame); err != nil {
		return Aborted(err)
	}
	if cursor == nil {
		err = t.end()
	} else {
		err = a.follow(c, cursor, &t)
	}
	if err == nil {
		t.done()
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

// follow sends what cursor yields until the log, the client or the server
// ends. Lines that came together go out together: the more there are, the
// less each costs.
func (a *API) follow(c *Call, cursor logs.Cursor, t *tail) error {
	ctx := c.Request.Context()
	idle := time.NewTimer(a.ping)
	defer idle.Stop()
	for {
		batches, err := cursor.Next(ctx)
		for _, b := range batches {
			if _, err := t.Write(b.Encoded(frames)); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return t.end()
		case err != nil:
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
		if more, err := a.wait(c, cursor, t, idle); !more {
			return err
		}
	}
}

// wait returns true once cursor has something, and pings meanwhile.
func (a *API) wait(c *Call, cursor logs.Cursor, t *tail, idle *time.Timer) (more bool, err error) {
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
		case <-c.Request.Context().Done():
			return false, nil
		case now := <-idle.C:
			// The timer is not reset by every write: it looks when the last was.
			if quiet := now.Sub(t.last); quiet < a.ping {
				idle.Reset(a.ping - quiet)
				continue
			}
			idle.Reset(a.ping)
			if err := t.text(pingFrame); err != nil {
				return false, err
			}
			if err := t.flush(); err != nil {
				return false, err
			}
		}
	}
}

// tail writes the events of one reader.
type tail struct{ paced }

func (t *tail) text(s string) error {
	_, err := t.Write([]byte(s))
	return err
}

func (t *tail) end() error {
	if err := t.text(eofFrame); err != nil {
		return err
	}
	return t.flush()
}
