package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

type pushFlags struct {
	Message *string `arg:"" optional:"" help:"Text of the line; - or nothing reads standard input, line by line."`

	Line       *int64 `placeholder:"N" help:"Position of the message as counted by its writer, from 0 (after the last line of the log)."`
	Level      string `placeholder:"LEVEL" default:"info" help:"Level of the lines (${default})."`
	Tee        bool   `help:"Also copy standard input to standard output."`
	Open       bool   `help:"Open the log first."`
	Close      bool   `help:"Close the log after the last line."`
	BestEffort bool   `help:"Exit with status 0 also if the log lacks something; a note says what."`

	deliveryFlags
}

func (pushFlags) help() string {
	return example(`log-service cistream push 1 2 3 4 "echo hello"`, "make 2>&1 | log-service cistream push 1 2 3 4 -",
		"make 2>&1 | log-service cistream push --open --close --tee 1/2/3/4 -") +
		"\n\nPut -- before a message that begins with -: push 1 2 3 4 -- \"-x\". Standard input is sent as it arrives, including unfinished " +
		"lines, and is read to its end whatever happens to the server. If lines could not be delivered, the command then reports how many and why, and its status is 6."
}

func (pushFlags) idExample() string { return `log-service stream push default "" 1/2/3/4 "echo hello"` }

func (f pushFlags) argument() (*string, bool) { return f.Message, true }

func (f pushFlags) run(ctx context.Context, s *session, t target, message *string) error {
	piped := message == nil || *message == "-"
	switch {
	case message == nil && isTerminal(s.Stdin):
		return &usage{err: errors.New("nothing to push"), hint: "give a message, or - to type lines and end with Ctrl-D"}
	case piped && f.Line != nil:
		return usagef("--line is the position of one message; lines of standard input are counted automatically")
	case !piped && f.Tee:
		return usagef("--tee copies standard input, but a message was given")
	}
	var err error
	if piped {
		err = f.pipe(s, t)
	} else {
		err = f.message(ctx, s, t, *message)
	}
	if lost := new(undelivered); errors.Is(err, logservice.ErrStreamNotFound) && (!errors.As(err, &lost) || lost.lost == lost.lines) {
		err = withHint(err, "open it first: %s cistream open %s; or push with --open", s.Name, t.key)
	}
	if err == nil || !f.BestEffort || errors.Is(err, context.Canceled) {
		return err
	}
	s.note("%s", s.inOneLine(err))
	return nil
}

// message pushes one text; each of its lines becomes a line of the log.
func (f *pushFlags) message(ctx context.Context, s *session, t target, text string) error {
	c, err := s.client(t, oneShot)
	if err != nil {
		return err
	}
	if f.Open {
		if err := c.Open(ctx, t.key); err != nil {
			return err
		}
	}
	err = f.append(ctx, c, t, text)
	if f.Close && !errors.Is(err, logservice.ErrStreamNotFound) {
		err = errors.Join(err, c.Close(ctx, t.key))
	}
	return err
}

func (f *pushFlags) append(ctx context.Context, c *client.Client, t target, text string) error {
	var pos int64
	if f.Line != nil {
		pos = *f.Line
	} else if next, err := c.Append(ctx, t.key, nil); err != nil {
		return err
	} else if next > 0 {
		pos = next - 1
	}
	var lines []logservice.Line
	now := time.Now().UTC()
	for out := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		lines = append(lines, logservice.Line{Level: f.Level, Pos: pos + int64(len(lines)), Out: out + "\n", Time: now})
	}
	_, err := c.Append(ctx, t.key, lines)
	return err
}

// pipe pushes standard input until it ends or a signal comes. In both cases it
// delivers what was read before it returns.
func (f *pushFlags) pipe(s *session, t target) error {
	opts := append(f.options(t), client.Level(f.Level))
	if f.Open {
		opts = append(opts, client.AutoOpen())
	}
	in := &intake{}
	if f.Tee {
		in.copyTo(s.Stdout)
	}
	d, err := s.deliver(t, opts...)
	if err != nil {
		_, _ = io.Copy(in, s.Stdin) // the program that writes it must not suffer
		return err
	}
	if isTerminal(s.Stdin) && !f.Open {
		// Somebody types: report a missing log before they do.
		if _, err := d.c.Append(s.signals, t.key, nil); err != nil {
			return err
		}
	}
	in.log = d.w
	// Reading standard input cannot be interrupted: after a signal, this goroutine
	// stays until the process exits.
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(in, s.Stdin)
		copied <- errors.Join(err, in.failed)
	}()
	select {
	case err = <-copied:
	case <-s.signals.Done():
		err = context.Cause(s.signals)
	}
	if lost := d.finish(s.signals, f.Close); lost != nil {
		return lost
	}
	return err
}

// intake takes what a program prints: first for the copy, if there is one, and then
// for the log. It fails for neither.
type intake struct {
	copy, log io.Writer // nil: none
	failed    error     // of copy, which then ended
}

// copyTo sets the copy. If nobody reads it any more, that is an error of the copy,
// and not the end of this program.
func (i *intake) copyTo(w io.Writer) {
	i.copy = w
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

func (i *intake) Write(p []byte) (int, error) {
	if i.copy != nil && i.failed == nil {
		if _, err := i.copy.Write(p); err != nil {
			i.failed = fmt.Errorf("copying standard input: %w", err)
		}
	}
	if i.log != nil {
		return i.log.Write(p)
	}
	return len(p), nil
}
