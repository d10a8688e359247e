package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

// maxLast limits -n: so many lines of an archived log are held in memory.
const maxLast = 100_000

// readFlags select which lines of a log are printed, and how.
type readFlags struct {
	After      string `placeholder:"SEQ" help:"Start after the line with this sequence (2-17: line 17 of the second attempt)."`
	Attempt    int64  `placeholder:"N" help:"Read only attempt N of a log that was opened again after its end; by default the newest, and those that follow it."`
	Last       *int64 `short:"n" name:"lines" placeholder:"N" help:"Start with the last N existing lines."`
	Timestamps bool   `short:"t" help:"Print the time of each line before it."`
	Grep       string `placeholder:"RE" help:"Print only lines whose text matches this regular expression (RE2)."`
	Raw        bool   `help:"Pass all control sequences of the log through; by default only colors."`
	outputFlag
}

type tailFlags struct {
	noArgument
	readFlags
	Follow bool `default:"true" negatable:"" help:"Wait for new lines until the log ends; --no-follow prints the existing lines and exits."`
}

func (tailFlags) help() string {
	return "After a lost connection, tail reconnects and continues after the last line. The status is 0 only if the log has ended.\n\n" +
		example("log-service cistream tail 1 2 3 4", "log-service cistream tail 1/2/3/4 -n 100 -t", `log-service cistream tail 1 2 3 4 --no-follow --grep "error|warning"`)
}

func (tailFlags) idExample() string { return `log-service stream tail default "" 1/2/3/4` }

func (f tailFlags) run(ctx context.Context, s *session, t target, _ *string) error {
	return f.read(ctx, s, t, f.Follow)
}

// logsCmd is tail for people who want to read a log rather than wait for it.
type logsCmd struct {
	ciKey
	readFlags
	Follow bool `short:"f" help:"Wait for new lines until the log ends."`
}

func (*logsCmd) Help() string {
	return example("log-service logs 1 2 3 4", "log-service logs 1/2/3/4 -f")
}

func (c *logsCmd) Run(ctx context.Context, s *session) error {
	t, err := c.only(s)
	if err != nil {
		return err
	}
	return c.read(ctx, s, t, c.Follow)
}

func (f *readFlags) read(ctx context.Context, s *session, t target, follow bool) error {
	show, err := f.printer(s)
	if err != nil {
		return err
	}
	switch {
	case f.Attempt < 0:
		return usagef("--attempt %d: attempts count from 1", f.Attempt)
	case f.Last != nil && (*f.Last < 0 || *f.Last > maxLast):
		return usagef("-n %d: want 0 to %d", *f.Last, maxLast)
	case f.Last != nil && f.After != "":
		return usagef("--after and -n both set where to start: give only one")
	}
	// Report an unreachable server here, without the patience of a running tail.
	// Ask for live logs: they are available even if the store of finished logs
	// is not.
	quick, err := s.client(t, oneShot)
	if err != nil {
		return err
	}
	if _, err := quick.Info(ctx, client.Under(t.key)); errors.Is(err, logservice.ErrUnavailable) {
		return err
	}
	c, err := s.client(t, client.DefaultRetry())
	if err != nil {
		return err
	}
	var incomplete bool
	err = f.print(ctx, s, c, t, follow, show, client.Incomplete(&incomplete))
	if incomplete {
		s.noteIncomplete()
	}
	if errors.Is(err, logservice.ErrStreamNotFound) {
		err = withHint(err, "nothing is live or stored under %s: see %s cistream info", t.key, s.Name)
	}
	return errors.Join(err, show.Close())
}

func (f *readFlags) print(ctx context.Context, s *session, c *client.Client, t target, follow bool, show *printer, opt client.ReadOption) error {
	after, err := f.position()
	if err != nil {
		return err
	}
	if f.Last != nil {
		last, err := f.lastLines(ctx, c, t.key, *f.Last, opt)
		if err != nil {
			return err
		}
		for _, raw := range last.held {
			if err := show.line(raw); err != nil {
				return err
			}
		}
		after = last.at
		if !follow || last.damage != nil { // only a log that has ended is damaged
			return last.damage
		}
	}
	opts := []client.ReadOption{client.From(after), client.Attempt(f.Attempt), opt, s.onConnection()}
	switch {
	case show.json && follow:
		return printEach(s, c.TailRaw(ctx, t.key, opts...), show.line, noJSON)
	case show.json:
		return printEach(s, c.LinesRaw(ctx, t.key, opts...), show.line, noJSON)
	case follow:
		return printEach(s, c.Tail(ctx, t.key, opts...), show.text, noText)
	}
	return printEach(s, c.Lines(ctx, t.key, opts...), show.text, noText)
}

// onConnection reports on a terminal that the connection is lost, and back.
func (s *session) onConnection() client.ReadOption {
	return client.OnConnection(func(lost error) {
		switch {
		case s.root.Quiet || !isTerminal(s.Stderr):
		case lost != nil:
			fmt.Fprintln(s.Stderr, "connection lost, trying again")
		default:
			fmt.Fprintln(s.Stderr, "connected again")
		}
	})
}

// position is where to start.
func (f *readFlags) position() (logservice.Position, error) {
	if f.After == "" {
		return logservice.Position{Attempt: f.Attempt}, nil
	}
	p, err := logservice.ParsePosition(f.After)
	if err != nil {
		return p, usagef("--after %s: use the sequence of a line, such as 17, or 2-17 in the second attempt of a log", f.After)
	}
	if f.Attempt > 0 && !strings.Contains(f.After, "-") {
		p.Attempt = f.Attempt
	}
	return p, nil
}

// noJSON and noText detect a gap for which the server has no line.
func noJSON(r client.Raw) bool      { return r.JSON == nil }
func noText(l logservice.Line) bool { return l.Gap == nil }

// printEach prints lines. A gap is reported by the line that represents it in the
// log, if there is one, and otherwise on standard error. Damage is also the error
// that is returned once all lines are printed.
func printEach[L any](s *session, lines iter.Seq2[L, error], show func(L) error, bare func(L) bool) error {
	var damage error
	for line, err := range lines {
		gap, isGap := errors.AsType[*logservice.GapError](err)
		switch {
		case isDamage(err):
			damage = cmp.Or(damage, err)
		case isGap && bare(line):
			fmt.Fprintf(s.Stderr, "%v\n", gap)
			continue
		case err != nil && !isGap:
			return err
		}
		if err := show(line); err != nil {
			return err
		}
	}
	return damage
}

// isDamage reports whether err takes the place of lines that a reader gets
// nevertheless.
func isDamage(err error) bool {
	_, ok := errors.AsType[*logservice.DamageError](err)
	return ok
}

// last is the current end of a log.
type last struct {
	held []client.Raw
	at   logservice.Position // after the last line
	// damage of the log, at its end or before
	damage error
}

// lastLines reads the last n lines that the log has now. For a live log the server
// says where they start; an archived one is read completely.
func (f *readFlags) lastLines(ctx context.Context, c *client.Client, key logservice.Key, n int64, opt client.ReadOption) (l last, err error) {
	infos, err := c.Info(ctx, client.Under(key))
	if err != nil {
		return last{}, err
	}
	for _, i := range infos {
		attempt := max(1, i.Attempt)
		if i.Key == key && (f.Attempt == 0 || f.Attempt == attempt) && i.Lines > n {
			l.at = logservice.Position{Attempt: attempt, Sequence: i.Lines - n}
		}
	}
	for raw, err := range c.LinesRaw(ctx, key, client.From(l.at), client.Attempt(f.Attempt), opt) {
		_, gap := errors.AsType[*logservice.GapError](err)
		switch {
		case isDamage(err):
			l.damage = cmp.Or(l.damage, err)
		case err != nil && !gap:
			return last{}, err
		}
		if raw.Seq > 0 {
			l.at = raw.Position()
		}
		if raw.JSON == nil {
			continue
		}
		raw.JSON = append([]byte(nil), raw.JSON...) // valid only until the next line
		l.held = append(l.held, raw)
		if int64(len(l.held)) >= 2*n+1 {
			l.held = append(l.held[:0], l.held[int64(len(l.held))-n:]...)
		}
	}
	if extra := int64(len(l.held)) - n; extra > 0 {
		l.held = l.held[extra:]
	}
	return l, nil
}

// printer prints lines as the flags say.
type printer struct {
	out        *liveWriter
	safe       *filter   // nil for raw output
	dst        io.Writer // safe, if not nil, or out
	buf        []byte    // reused
	json       bool
	timestamps bool
	match      *regexp.Regexp
}

func (f *readFlags) printer(s *session) (*printer, error) {
	p := &printer{out: newLiveWriter(s.Stdout), json: f.Output == "json", timestamps: f.Timestamps}
	p.dst = p.out
	if f.Grep != "" {
		re, err := regexp.Compile(f.Grep)
		if err != nil {
			return nil, &usage{err: err}
		}
		p.match = re
	}
	if !f.Raw && (!p.json || isTerminal(s.Stdout)) {
		p.safe = newFilter(p.out, s.colours())
		p.dst = p.safe
	}
	return p, nil
}

// line prints a line as JSON or as text.
func (p *printer) line(raw client.Raw) error {
	var line logservice.Line
	if !p.json || p.match != nil {
		if err := json.Unmarshal(raw.JSON, &line); err != nil {
			return fmt.Errorf("line %d: %w", raw.Seq, err)
		}
	}
	if !p.json {
		return p.text(line)
	}
	if p.match != nil && !p.match.MatchString(line.Out) {
		return nil
	}
	p.buf = append(append(p.buf[:0], raw.JSON...), '\n')
	_, err := p.dst.Write(p.buf)
	return err
}

// text prints the text of a line, which may lack a line break.
func (p *printer) text(line logservice.Line) error {
	if p.match != nil && !p.match.MatchString(line.Out) {
		return nil
	}
	p.buf = p.buf[:0]
	if p.timestamps {
		p.buf = append(line.Time.Local().AppendFormat(p.buf, time.RFC3339), ' ')
	}
	p.buf = append(p.buf, line.Out...)
	if !strings.HasSuffix(line.Out, "\n") {
		p.buf = append(p.buf, '\n')
	}
	_, err := p.dst.Write(p.buf)
	return err
}

func (p *printer) Close() error {
	var err error
	if p.safe != nil {
		err = p.safe.Close()
	}
	return errors.Join(err, p.out.Close())
}
