package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"

	logservice "github.com/harness/log-service"
)

const (
	// silence ends a connection of a tail: a server sends a comment every 15 s
	// when there is nothing else, so three of them are missing.
	silence = 45 * time.Second
	// patience is how long a tail tries to get its connection back, unless
	// told otherwise: long enough for a server to be moved.
	patience = 5 * time.Minute
	// settled is how long a connection must have held to count as progress
	// when no line came over it.
	settled = 10 * time.Second
)

// Raw is a line as the server keeps it.
type Raw struct {
	Seq  int64  // its place in the log, from 1; zero if the server says none
	JSON []byte // one object; valid until the next line is asked for
}

// ReadOption says which lines to read.
type ReadOption func(*reading)

type reading struct {
	after    int64
	patience time.Duration
	bounded  bool // only what is there now
}

// After begins behind the line of sequence seq; zero is the first line.
func After(seq int64) ReadOption {
	return func(r *reading) { r.after = max(0, seq) }
}

// Patience is how long a lost connection is tried to be got back before the
// tail ends with an error. Zero tries for ever, until the context ends.
// Without this option it is 5 minutes. Retry of WithRetry sets the pauses; a
// zero Retry makes the first lost connection final.
func Patience(d time.Duration) ReadOption {
	return func(r *reading) {
		r.patience = d
		if d <= 0 {
			r.patience = 1<<63 - 1
		}
	}
}

// Tail yields the lines of the log key in order, and those to come, until the
// log is closed; a log that is archived already is read from its archive. A
// lost connection is made again, and goes on behind the last line: no line
// comes twice, none is left out.
//
// Lines that no backend holds any more come as an error, a
// *logservice.GapError (with the Line that stands for them), and the lines
// behind follow. Every other error is the last thing yielded:
// logservice.ErrStreamNotFound where there is no such log, or no longer;
// the context's; logservice.ErrUnavailable after Patience. When the log ends,
// the loop ends without an error. Each range over the result reads anew.
func (c *Client) Tail(ctx context.Context, key logservice.Key, opts ...ReadOption) iter.Seq2[logservice.Line, error] {
	return decoded(c.TailRaw(ctx, key, opts...))
}

// TailRaw is Tail for lines as JSON.
func (c *Client) TailRaw(ctx context.Context, key logservice.Key, opts ...ReadOption) iter.Seq2[Raw, error] {
	r := reading{patience: patience}
	for _, o := range opts {
		o(&r)
	}
	return c.read(ctx, key, r)
}

// Lines yields the lines that the log has now, and ends without waiting for
// more: of an archived log all, of a live one at least every line that was
// acknowledged before the call. Options, errors and gaps are those of Tail.
func (c *Client) Lines(ctx context.Context, key logservice.Key, opts ...ReadOption) iter.Seq2[logservice.Line, error] {
	return decoded(c.LinesRaw(ctx, key, opts...))
}

// LinesRaw is Lines for lines as JSON.
func (c *Client) LinesRaw(ctx context.Context, key logservice.Key, opts ...ReadOption) iter.Seq2[Raw, error] {
	r := reading{patience: patience, bounded: true}
	for _, o := range opts {
		o(&r)
	}
	return c.read(ctx, key, r)
}

func (c *Client) read(ctx context.Context, key logservice.Key, r reading) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		t := &tail{c: c, key: key, reading: r, yield: yield, end: -1}
		if err := t.run(ctx); err != nil && !errors.Is(err, errStop) {
			yield(Raw{}, err)
		}
	}
}

func decoded(lines iter.Seq2[Raw, error]) iter.Seq2[logservice.Line, error] {
	return func(yield func(logservice.Line, error) bool) {
		var l logservice.Line // outside the loop: one allocation for all lines
		for raw, err := range lines {
			l = logservice.Line{}
			if raw.JSON != nil {
				if bad := decodeLine(raw.JSON, &l); bad != nil && err == nil {
					err = fmt.Errorf("line %d: %w", raw.Seq, bad)
				}
				l.Seq = raw.Seq
			}
			if !yield(l, err) {
				return
			}
		}
	}
}

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
	k, err := t.c.newCall("tail", http.MethodGet, "/stream", t.key)
	if err != nil {
		return err
	}
	k.stall = silence
	k.header = http.Header{"Accept": {"text/event-stream"}}
	if t.after > 0 {
		k.query.Set("after", strconv.FormatInt(t.after, 10))
	}
	resp, err := t.c.send(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := t.begin(ctx, resp); err != nil {
		return err
	}
	return t.events(newEventReader(resp.Body))
}

// begin looks at where the lines come from.
func (t *tail) begin(ctx context.Context, resp *http.Response) error {
	state := resp.Header.Get(logservice.HeaderState)
	if state == logservice.StateUnknown {
		if t.found {
			return fmt.Errorf("tail %s: %w any more: it went before its end was read, at line %d",
				t.key, logservice.ErrStreamNotFound, t.after)
		}
		return fmt.Errorf("tail %s: %w", t.key, logservice.ErrStreamNotFound)
	}
	t.found = true
	if !t.bounded || state != logservice.StateLive || t.end >= 0 {
		return nil
	}
	if next := nextSequence(resp); next > 0 {
		t.end = next - 1
	} else if err := t.askEnd(ctx); err != nil {
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

func (t *tail) events(in *eventReader) error {
	for {
		e, err := in.next()
		switch {
		case errors.Is(err, logservice.ErrTooLarge):
			return fmt.Errorf("tail %s after line %d: %w", t.key, t.after, err)
		case err != nil:
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("tail %s: %w", t.key, &logservice.UnavailableError{Cause: err})
		case isEnd(e):
			return errStop
		case e.name != "" && e.name != "message":
			continue // of a newer server
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
func (t *tail) line(e event) error {
	if e.id == 0 { // an older server
		t.unnumbered = true
		return t.give(Raw{JSON: e.data}, nil)
	}
	first := t.after + 1
	switch {
	case e.id < first: // it was yielded
		return nil
	case gapEnds(e.data, e.id):
		t.after = e.id
		return t.give(Raw{Seq: e.id, JSON: e.data}, &logservice.GapError{First: first, Last: e.id})
	case e.id > first:
		t.after = e.id - 1
		if err := t.give(Raw{Seq: e.id - 1}, &logservice.GapError{First: first, Last: e.id - 1}); err != nil {
			return err
		}
	}
	t.after = e.id
	return t.give(Raw{Seq: e.id, JSON: e.data}, nil)
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
