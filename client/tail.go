package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
)

const (
	// patience is how long a tail tries to get its connection back, unless
	// told otherwise: long enough for a server to be moved.
	patience = 5 * time.Minute
	// settled is how long a connection must have held to count as progress
	// when no line came over it.
	settled = 10 * time.Second
)

// tail is the state of one reading over all its connections.
type tail struct {
	c   *Client
	key logservice.Key
	reading
	yield func(Raw, error) bool

	found bool  // a connection has reached the log
	lines int64 // yielded
	// unnumbered: the server is an older one, whose lines have no sequence.
	// What came before a cut and what after cannot be told apart.
	unnumbered bool
	end        int64 // the last line wanted, once known; -1 before, and where the log's end is the end
}

// errStop ends a reading without an error: the log ended, or its reader left.
var errStop = errors.New("stop")

func (t *tail) run(ctx context.Context) error {
	p := pauses{Retry: t.c.retry}
	if p.Total > 0 {
		p.Total = t.patience
	}
	for {
		began, lines := time.Now(), t.lines
		err := t.connection(ctx)
		if ctx.Err() != nil && !errors.Is(err, errStop) {
			return fmt.Errorf("tail %s: %w", t.key, context.Cause(ctx))
		}
		if t.found && errors.Is(err, logservice.ErrStreamNotFound) {
			return fmt.Errorf("tail %s: %w any more: it went before its end was read, at line %d",
				t.key, logservice.ErrStreamNotFound, t.after)
		}
		if !repeatable(err) || t.unnumbered {
			return err
		}
		if t.lines > lines || time.Since(began) >= settled {
			p.succeeded()
		}
		wait, again := p.after(wantedPause(err))
		if !again {
			return err
		}
		t.c.log.DebugContext(ctx, "tail lost its connection, making a new one", "error", err, "after", t.after, "wait", wait)
		if cause := sleep(ctx, wait); cause != nil {
			return fmt.Errorf("tail %s: %w", t.key, cause)
		}
	}
}

// connection reads over one connection until it ends. It never returns nil.
func (t *tail) connection(ctx context.Context) error {
	if err := checkKey("tail", t.key); err != nil {
		return err
	}
	op := "tail " + string(t.key)
	r, err := t.c.live.Tail(ctx, string(t.key), t.after)
	if err != nil {
		return t.c.explain(ctx, op, err)
	}
	defer r.Close()
	if err := t.begin(ctx, r.State()); err != nil {
		return err
	}
	return t.c.explain(ctx, op, t.events(r))
}

// begin looks at where the lines come from.
func (t *tail) begin(ctx context.Context, state string) error {
	if state == logservice.StateUnknown {
		return fmt.Errorf("tail %s: %w", t.key, logservice.ErrStreamNotFound)
	}
	t.found = true
	if t.incomplete != nil {
		*t.incomplete = state == logservice.StateIncomplete
	}
	if !t.bounded || state != logservice.StateLive || t.end >= 0 {
		return nil
	}
	if err := t.askEnd(ctx); err != nil {
		return err
	}
	return t.reached()
}

// askEnd learns how many lines a live log has. It is asked while connected,
// so that a log which is not listed any more was closed meanwhile: then its
// end is the end.
func (t *tail) askEnd(ctx context.Context) error {
	infos, err := t.c.Info(ctx, Under(t.key))
	if err != nil {
		return err
	}
	for _, i := range infos {
		if i.Key == t.key {
			t.end = i.Lines
		}
	}
	return nil
}

func (t *tail) reached() error {
	if t.end >= 0 && t.after >= t.end {
		return errStop
	}
	return nil
}

func (t *tail) events(in transport.Reader) error {
	for {
		e, err := in.Next()
		if err != nil {
			return err
		}
		if e.End {
			return errStop
		}
		if err := t.line(e); err != nil {
			return err
		}
		if err := t.reached(); err != nil {
			return err
		}
	}
}

// line yields one line, and a gap where its sequence does not follow.
func (t *tail) line(e transport.Event) error {
	if e.Seq == 0 { // an older server
		t.unnumbered = true
		return t.give(Raw{JSON: e.JSON}, nil)
	}
	first := t.after + 1
	switch {
	case e.Seq < first: // it was yielded
		return nil
	case gapEnds(e.JSON, e.Seq):
		t.after = e.Seq
		return t.give(Raw{Seq: e.Seq, JSON: e.JSON}, &logservice.GapError{First: first, Last: e.Seq})
	case e.Seq > first:
		t.after = e.Seq - 1
		if err := t.give(Raw{Seq: e.Seq - 1}, &logservice.GapError{First: first, Last: e.Seq - 1}); err != nil {
			return err
		}
	}
	t.after = e.Seq
	return t.give(Raw{Seq: e.Seq, JSON: e.JSON}, nil)
}

func (t *tail) give(r Raw, err error) error {
	t.lines++
	if !t.yield(r, err) {
		return errStop
	}
	return nil
}

// gapEnds reports whether data is the line that stands for lost lines up to
// last. A quote inside a text is escaped, so that ordinary lines hardly ever
// hold the member's name. A writer that makes such a line up hides that one
// line and no other.
func gapEnds(data []byte, last int64) bool {
	if !bytes.Contains(data, []byte(`"gap"`)) {
		return false
	}
	var l struct {
		Gap *logservice.Gap `json:"gap"`
	}
	return json.Unmarshal(data, &l) == nil && l.Gap != nil && l.Gap.Last == last
}
