package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
)

// Raw is a line as the server stores it.
type Raw struct {
	// Attempt is the attempt of the log that the line is of, from the second on;
	// zero is the first.
	Attempt int64
	// Seq is the line's sequence in its attempt, from 1. Zero for the line that
	// announces an attempt to a reader of an earlier one, and if the server sent
	// none.
	Seq  int64
	JSON []byte // one object; valid until the next iteration
}

// Position is the place after the line, to go on there.
func (r Raw) Position() logservice.Position {
	return logservice.Position{Attempt: max(1, r.Attempt), Sequence: r.Seq}
}

// Line decodes the line, or the piece of one.
func (r Raw) Line() (logservice.Line, error) {
	var l logservice.Line
	if err := decodeLine(r.JSON, &l); err != nil {
		return l, fmt.Errorf("line %d: %w", r.Seq, err)
	}
	l.Attempt, l.Seq = r.Attempt, r.Seq
	return l, nil
}

// ReadOption configures a tail or a read.
type ReadOption func(*reading)

type reading struct {
	at       logservice.Position // after the last line that was yielded
	only     bool                // the attempt of at alone
	patience time.Duration
	bounded  bool // stop at the current end
	pieces   bool // are not joined
	// incomplete receives the value of Incomplete; may be nil.
	incomplete *bool
	connection func(error) // of OnConnection; may be nil
}

// After starts after the line with sequence seq of the log's first attempt, or
// with Attempt of that one. Zero, the default, starts at the first line of the
// newest attempt that has lines.
func After(seq int64) ReadOption {
	return func(r *reading) {
		r.at.Sequence = max(0, seq)
		if r.at.Sequence > 0 && r.at.Attempt == 0 {
			r.at.Attempt = 1
		}
	}
}

// From starts at a position, such as that of the last line that was read.
func From(p logservice.Position) ReadOption {
	return func(r *reading) { r.at = p }
}

// Attempt reads one attempt of the log alone: each opening of a log after its end
// begins a new one. By default a read begins in the newest that has lines, and
// goes on in those that follow, each announced by a line without a sequence.
func Attempt(n int64) ReadOption {
	return func(r *reading) {
		if n > 0 {
			r.at.Attempt, r.only = n, true
		}
	}
}

// Incomplete sets *b, before the first line, to whether the server ended and
// archived the log because its writer went silent: lines may be missing at its
// end. For a live log it sets false.
func Incomplete(b *bool) ReadOption {
	return func(r *reading) { r.incomplete = b }
}

// OnConnection calls f when a tail has lost its connection and will try again, with
// the reason, and with nil once it is connected again. It is called while the
// read waits for f, at most once for each loss.
func OnConnection(f func(lost error)) ReadOption {
	return func(r *reading) { r.connection = f }
}

// Pieces yields the pieces of a line (Line.Partial) as they come. By default Tail
// and Lines join them, and a line comes when it has ended. TailRaw and LinesRaw
// never join.
func Pieces() ReadOption { return func(r *reading) { r.pieces = true } }

// Patience limits how long a tail tries to reconnect before it ends with an
// error. The default is 5 minutes; zero means until the context ends. Pauses
// between attempts are those of WithRetry; with a zero Retry, the first lost
// connection ends the tail.
func Patience(d time.Duration) ReadOption {
	return func(r *reading) {
		r.patience = d
		if d <= 0 {
			r.patience = 1<<63 - 1
		}
	}
}

// Tail yields the lines of the log key in order, first the existing ones and
// then new ones as they arrive, until the log is closed. An archived log is read
// from its archive. After a lost connection Tail reconnects and continues with
// the next line: no line is duplicated and none is skipped.
//
// A line that was sent in pieces is joined: it has the members of its first piece
// and the Seq of its last one. It is Partial if the log ended before it did.
//
// Lines that no backend has any more are yielded as a *logservice.GapError,
// together with the Line that takes their place, and reading continues after
// the gap. So it does after a *logservice.DamageError (logservice.ErrDamaged):
// lines of a finished log that cannot be read, and never will be. Any other
// error is the last value yielded:
//
//   - logservice.ErrStreamNotFound if the log does not exist, or no longer exists
//   - logservice.ErrUnavailable if Patience has run out
//   - the error of the context
//
// When the log ends, the loop ends without an error. Each range over the result
// is a new read.
func (c *Client) Tail(ctx context.Context, key logservice.Key, opts ...ReadOption) iter.Seq2[logservice.Line, error] {
	r := reading{patience: patience}
	for _, o := range opts {
		o(&r)
	}
	return decoded(c.read(ctx, key, r), r)
}

// TailRaw is like Tail but yields lines as JSON, as they were sent.
func (c *Client) TailRaw(ctx context.Context, key logservice.Key, opts ...ReadOption) iter.Seq2[Raw, error] {
	r := reading{patience: patience}
	for _, o := range opts {
		o(&r)
	}
	return c.read(ctx, key, r)
}

// Lines yields the lines that the log has now and does not wait for more. For an
// archived log these are all its lines; for a live one, at least those
// acknowledged before the call. Options, errors and gaps are as for Tail.
func (c *Client) Lines(ctx context.Context, key logservice.Key, opts ...ReadOption) iter.Seq2[logservice.Line, error] {
	r := reading{patience: patience, bounded: true}
	for _, o := range opts {
		o(&r)
	}
	return decoded(c.read(ctx, key, r), r)
}

// LinesRaw is like Lines but yields lines as JSON, as they were sent.
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

// lookahead is how many lines of other writers a read lets come between the
// pieces of a line. A tail waits for none.
const lookahead = 32

func decoded(raws iter.Seq2[Raw, error], r reading) iter.Seq2[logservice.Line, error] {
	return func(yield func(logservice.Line, error) bool) {
		d := decoding{yield: yield}
		if r.bounded {
			d.join.Lookahead = lookahead
		}
		for raw, err := range raws {
			var stop error
			if err == nil && !r.pieces {
				stop = d.join.Add(lines.Line(raw), d.give)
			} else if stop = d.join.Flush(d.give); stop == nil { // a gap ends the line before it, too
				stop = d.line(raw, err)
			}
			if stop != nil {
				return
			}
		}
		_ = d.join.Flush(d.give) // nothing follows
	}
}

// decoding yields lines as values.
type decoding struct {
	yield func(logservice.Line, error) bool
	join  lines.Joiner
	next  logservice.Line // one allocation for all
}

func (d *decoding) give(l lines.Line) error { return d.line(Raw(l), nil) }

// line yields a line, or the error that is in its place or beside it.
func (d *decoding) line(raw Raw, err error) error {
	d.next = logservice.Line{}
	if raw.JSON != nil {
		if bad := decodeLine(raw.JSON, &d.next); bad != nil && err == nil {
			err = fmt.Errorf("line %d: %w", raw.Seq, bad)
		}
		d.next.Attempt, d.next.Seq = raw.Attempt, raw.Seq
	}
	if !d.yield(d.next, err) {
		return errStop
	}
	return nil
}
