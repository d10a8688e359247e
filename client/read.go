package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	logservice "github.com/harness/log-service"
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
	// incomplete is where the reader wants to be told; may be nil.
	incomplete *bool
}

// After begins behind the line of sequence seq; zero is the first line.
func After(seq int64) ReadOption {
	return func(r *reading) { r.after = max(0, seq) }
}

// Incomplete sets b, before the first line, to whether the log is one whose
// writer went silent, and which the server ended and archived by itself:
// lines may be missing at its end. Of a log that is live it says false.
func Incomplete(b *bool) ReadOption {
	return func(r *reading) { r.incomplete = b }
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
