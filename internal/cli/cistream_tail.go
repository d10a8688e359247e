package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

// maxLast limits -n: of so many lines the place is held in memory.
const maxLast = 100_000

// readFlags select which lines of a log are printed, and how.
type readFlags struct {
	After   string `placeholder:"SEQ" help:"Start after the line with this sequence (2-17: line 17 of the second attempt)."`
	Attempt int64  `placeholder:"N" help:"Read only attempt N of a log that was opened again after its end; by default the newest, and those that follow it."`
	Last    *int64 `short:"n" name:"lines" placeholder:"N" help:"Start with the last N existing lines."`
	periodFlags
	grepFlags
	Timestamps bool `short:"t" help:"Print the time of each line before it."`
	Elapsed    bool `help:"Print the time since the log's first line."`
	Number     bool `help:"Print the sequence of each line before it."`
	Raw        bool `help:"Print what was written, byte for byte; otherwise only colors, and the last state of progress."`
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
	return example("log-service logs 1 2 3 4", "log-service logs 1/2/3/4 -f", `log-service logs 1/2/3/4 --since 5m -i --grep error -C 3`)
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
	after, err := f.position()
	if err != nil {
		return err
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
	r := reading{
		client: c, key: t.key, attempt: f.Attempt, after: after, last: f.Last, stderr: s.Stderr,
		options: []client.ReadOption{client.Attempt(f.Attempt), client.Incomplete(&incomplete), s.onConnection()},
	}
	if err = r.print(ctx, show, follow && !show.period.past()); err == nil {
		err = show.result()
	}
	if incomplete {
		s.noteIncomplete()
	}
	if show.replaced > 0 && !s.root.Quiet {
		fmt.Fprintf(s.Stderr, "note: %d bytes that are not UTF-8 are shown as U+FFFD; if the log was uploaded, download has them\n", show.replaced)
	}
	if errors.Is(err, logservice.ErrStreamNotFound) {
		err = withHint(err, "nothing is live or stored under %s: see %s cistream info", t.key, s.Name)
	}
	return errors.Join(err, show.Close())
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
