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
	"github.com/harness/log-service/internal/backoff"
)

const (
	// patience is the default of Patience: long enough to move a server.
	patience = 5 * time.Minute
	// settled is how long a connection without lines must have lasted to count as
	// progress.
	settled = 10 * time.Second
)

// tail is the state of one read across its connections.
type tail struct {
	c   *Client
	key logservice.Key
	reading
	yield func(Raw, error) bool

	found bool  // a connection has reached the log
	lost  bool  // the connection has been lost, see OnConnection
	lines int64 // number of lines yielded
	// unnumbered: the server is an older one whose lines have no sequence, so
	// lines before and after a lost connection cannot be distinguished.
	unnumbered bool
	end        int64 // last line wanted; -1 if unknown or if the read ends with the log
}

// errStop ends a read without an error: the log ended, or the consumer stopped.
var errStop = errors.New("stop")

func (t *tail) run(ctx context.Context) error {
	p := t.c.retry.within(t.patience).pauses()
	renewed := false // a new token has been tried since the last line
	for {
		began, lines := time.Now(), t.lines
		err := t.connection(ctx)
		if ctx.Err() != nil && !errors.Is(err, errStop) {
			return fmt.Errorf("tail %s: %w", t.key, context.Cause(ctx))
		}
		if t.found && errors.Is(err, logservice.ErrStreamNotFound) {
			return fmt.Errorf("tail %s: %w any more: it went before its end was read, at line %d",
				t.key, logservice.ErrStreamNotFound, t.at.Sequence)
		}
		renewed = renewed && t.lines == lines
		if !renewed && t.c.renewed(err) {
			renewed = true
			continue
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
		t.connected(err)
		t.c.log.DebugContext(ctx, "tail lost its connection, making a new one", "error", err, "after", t.at.String(), "wait", wait)
		if cause := backoff.Sleep(ctx, wait); cause != nil {
			return fmt.Errorf("tail %s: %w", t.key, cause)
		}
	}
}

// connected reports a change of the connection, see OnConnection.
func (t *tail) connected(lost error) {
	if t.reading.connection != nil && t.lost != (lost != nil) {
		t.reading.connection(lost)
	}
	t.lost = lost != nil
}

// connection reads over one connection until it ends. Its error is never nil.
func (t *tail) connection(ctx context.Context) error {
	if err := checkKey("tail", t.key); err != nil {
		return err
	}
	op := "tail " + string(t.key)
	r, err := t.c.live.Tail(ctx, string(t.key), transport.Tail{After: t.at, Only: t.only, Existing: t.bounded})
	if err != nil {
		return t.c.explain(ctx, op, err)
	}
	defer r.Close()
	if err := t.begin(ctx, r.State()); err != nil {
		return err
	}
	return t.c.explain(ctx, op, t.events(r))
}

// begin handles the state of the log.
func (t *tail) begin(ctx context.Context, state string) error {
	if state == logservice.StateUnknown {
		return fmt.Errorf("tail %s: %w", t.key, logservice.ErrStreamNotFound)
	}
	t.found = true
	t.connected(nil)
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

// askEnd finds out how many lines a live log has. It asks while connected: a log
// that is no longer listed was closed in the meantime, so the read ends with it.
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
	if t.end >= 0 && t.at.Sequence >= t.end {
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

// line yields one line, preceded by a gap if its sequence is not the next one.
func (t *tail) line(e transport.Event) error {
	switch {
	case e.Seq == 0 && e.Attempt <= 1: // an older server
		t.unnumbered = true
		return t.give(Raw{JSON: e.JSON}, nil)
	case e.Attempt < t.at.Attempt:
		return nil
	case e.Attempt > t.at.Attempt && t.at.Attempt > 0:
		t.at = logservice.Position{}
	}
	t.at.Attempt = e.Attempt
	if e.Seq == 0 {
		return t.give(t.raw(0, e.JSON), nil) // it announces its attempt
	}
	first := t.at.Sequence + 1
	if e.Seq < first { // already yielded
		return nil
	}
	gap, isGap := gapEnding(e.JSON, e.Seq)
	switch {
	case isGap && !gap.Rest:
		t.at.Sequence = e.Seq
		gap.First = first
		return t.give(t.raw(e.Seq, e.JSON), lost(gap))
	case e.Seq > first:
		t.at.Sequence = e.Seq - 1
		if err := t.give(t.raw(e.Seq-1, nil), &logservice.GapError{First: first, Last: e.Seq - 1}); err != nil {
			return err
		}
	}
	t.at.Sequence = e.Seq
	if isGap {
		return t.give(t.raw(e.Seq, e.JSON), lost(gap))
	}
	return t.give(t.raw(e.Seq, e.JSON), nil)
}

func (t *tail) raw(seq int64, data []byte) Raw {
	r := Raw{Seq: seq, JSON: data}
	if t.at.Attempt > 1 {
		r.Attempt = t.at.Attempt
	}
	return r
}

// lost is the error of a gap.
func lost(g logservice.Gap) error {
	if g.Damage != "" {
		return &logservice.DamageError{Gap: g}
	}
	return &logservice.GapError{First: g.First, Last: g.Last}
}

func (t *tail) give(r Raw, err error) error {
	t.lines++
	if !t.yield(r, err) {
		return errStop
	}
	return nil
}

// gapEnding returns the gap of the line that represents lost or damaged lines up
// to last. Quotes inside a text are escaped, so ordinary lines hardly ever contain
// `"gap"`. A writer that forges such a line hides only that line.
func gapEnding(data []byte, last int64) (logservice.Gap, bool) {
	if !bytes.Contains(data, []byte(`"gap"`)) {
		return logservice.Gap{}, false
	}
	var l struct {
		Gap *logservice.Gap `json:"gap"`
	}
	if json.Unmarshal(data, &l) != nil || l.Gap == nil || l.Gap.Last != last {
		return logservice.Gap{}, false
	}
	return *l.Gap, true
}
