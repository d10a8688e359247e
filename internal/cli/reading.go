package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/lines"
)

// reading is one read of a log.
type reading struct {
	client  *client.Client
	key     logservice.Key
	attempt int64 // zero: the newest, and those that follow it
	after   logservice.Position
	last    *int64 // lines to start with; nil: all after after
	options []client.ReadOption
	stderr  io.Writer
}

// print prints the lines of the log. A gap is reported by the line that represents
// it in the log, if there is one, and otherwise on standard error. Damage is also
// the error that is returned once all lines are printed.
func (r *reading) print(ctx context.Context, show *printer, follow bool) error {
	end := logservice.Position{}
	var damage error
	if r.last != nil {
		var err error
		if r.after, end, err = r.lastLines(ctx, *r.last); isDamage(err) { // the log has ended
			follow, damage = false, err
		} else if err != nil {
			return err
		}
	}
	if show.elapsed && r.after.Sequence > 0 {
		if err := r.firstTime(ctx, show); err != nil {
			return err
		}
	}
	show.begin(follow)
	read := r.client.LinesRaw
	if follow {
		read, end = r.client.TailRaw, logservice.Position{}
	} else if r.last != nil && end == r.after { // there is nothing more
		return damage
	}
	for raw, err := range read(ctx, r.key, append(r.options, client.From(r.after))...) {
		gap, isGap := errors.AsType[*logservice.GapError](err)
		switch {
		case isDamage(err):
			damage = cmp.Or(damage, err)
		case isGap && raw.JSON == nil:
			fmt.Fprintf(r.stderr, "%v\n", gap)
			continue
		case err != nil && !isGap:
			return errors.Join(show.end(), err)
		}
		if err := show.add(lines.Line(raw)); err != nil {
			return err
		}
		if end.Sequence > 0 && raw.Position() == end {
			break
		}
	}
	return errors.Join(show.end(), damage)
}

// isDamage reports whether err takes the place of lines that a reader gets
// nevertheless.
func isDamage(err error) bool {
	_, ok := errors.AsType[*logservice.DamageError](err)
	return ok
}

// piecesPerLine is a guess of how many sequences a line has, to begin with.
const piecesPerLine = 2

// lastLines returns the place before the last n lines that the log has now, and
// the one after them. For a live log the server says where they are; an archived
// one is read completely. Damage is an error after which both are valid.
func (r *reading) lastLines(ctx context.Context, n int64) (start, end logservice.Position, err error) {
	infos, err := r.client.Info(ctx, client.Under(r.key))
	if err != nil {
		return start, end, err
	}
	from := logservice.Position{Attempt: r.attempt}
	for _, i := range infos {
		attempt := max(1, i.Attempt)
		if i.Key == r.key && (r.attempt == 0 || r.attempt == attempt) && i.Lines > piecesPerLine*n {
			from = logservice.Position{Attempt: attempt, Sequence: i.Lines - piecesPerLine*n}
		}
	}
	l, err := r.scanLast(ctx, from, n)
	if (err == nil || isDamage(err)) && from.Sequence > 0 && l.lines <= n { // the first of them may have begun before
		l, err = r.scanLast(ctx, logservice.Position{Attempt: r.attempt}, n)
	}
	return l.start(n), l.end, err
}

// lastScan finds the last lines of a log.
type lastScan struct {
	lines int64                 // so far
	ring  []logservice.Position // before each of the last ones
	from  logservice.Position
	end   logservice.Position // after the last one
}

func (r *reading) scanLast(ctx context.Context, from logservice.Position, n int64) (lastScan, error) {
	s := lastScan{from: from, ring: make([]logservice.Position, n+1), end: from}
	var join lines.Joiner
	var damage error
	count := func(l lines.Line) error { //nolint:unparam // as Add wants it
		p := client.Raw(l).Position()
		if l.Seq == 0 { // it announces its attempt
			p.Sequence = 0
		}
		s.ring[s.lines%(n+1)] = s.end
		s.lines++
		s.end = p
		return nil
	}
	for raw, err := range r.client.LinesRaw(ctx, r.key, append(r.options, client.From(from))...) {
		_, gap := errors.AsType[*logservice.GapError](err)
		switch {
		case isDamage(err):
			damage = cmp.Or(damage, err)
		case err != nil && !gap:
			return s, err
		case raw.JSON == nil:
			continue
		}
		_ = join.Add(lines.Line(raw), count) // count returns no error
	}
	_ = join.Flush(count)
	return s, damage
}

// start returns the place before the last n lines.
func (s *lastScan) start(n int64) logservice.Position {
	switch {
	case n == 0:
		return s.end
	case s.lines <= n:
		return s.from
	}
	return s.ring[(s.lines-n)%(n+1)]
}

// firstTime finds the time of the log's first line.
func (r *reading) firstTime(ctx context.Context, show *printer) error {
	for raw, err := range r.client.LinesRaw(ctx, r.key, append(r.options, client.From(logservice.Position{Attempt: r.after.Attempt}))...) {
		if err != nil && !isDamage(err) {
			return err
		}
		if l, bad := raw.Line(); raw.JSON != nil && bad == nil && !l.Time.IsZero() {
			show.first = l.Time
			break
		}
	}
	return nil
}
