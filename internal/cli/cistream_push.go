package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

// flushTime limits how long an interrupted push may take to deliver what it has
// read: the user is waiting for it to end.
const flushTime = 10 * time.Second

type pushFlags struct {
	Message *string `arg:"" optional:"" help:"Text of the line; - or nothing reads standard input, line by line."`

	Line  *int64 `placeholder:"N" help:"Position of the message as counted by its writer, from 0 (after the last line of the log)."`
	Level string `placeholder:"LEVEL" default:"info" help:"Level of the lines (${default})."`
	Tee   bool   `help:"Also copy standard input to standard output."`
	Open  bool   `help:"Open the log first."`
	Close bool   `help:"Close the log after the last line."`
}

func (pushFlags) help() string {
	return example(`log-service cistream push 1 2 3 4 "echo hello"`, "make 2>&1 | log-service cistream push 1 2 3 4 -",
		"make 2>&1 | log-service cistream push --open --close --tee 1/2/3/4 -") +
		"\n\nPut -- before a message that begins with -: push 1 2 3 4 -- \"-x\". Standard input is sent as it arrives, including unfinished " +
		"lines; the command exits when the server has all of it. If lines cannot be delivered, it reports how many and its status is not 0."
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
	c, err := s.client(t, oneShot)
	if err != nil {
		return err
	}
	if f.Open {
		if err := c.Open(ctx, t.key); err != nil {
			return err
		}
	}
	if piped {
		err = f.pipe(ctx, s, t, c)
	} else {
		err = f.message(ctx, c, t, *message)
	}
	if f.Close && !errors.Is(err, logservice.ErrStreamNotFound) {
		// Also close an interrupted log: nobody will write to it any more.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		err = errors.Join(err, c.Close(end, t.key))
	}
	if errors.Is(err, logservice.ErrStreamNotFound) {
		return withHint(err, "open it first: %s cistream open %s; or push with --open", s.Name, t.key)
	}
	return err
}

// message pushes one text; each of its lines becomes a line of the log.
func (f *pushFlags) message(ctx context.Context, c *client.Client, t target, text string) error {
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

// pipe pushes standard input until it ends or ctx does. In both cases it delivers
// what was read before it returns.
func (f *pushFlags) pipe(ctx context.Context, s *session, t target, c *client.Client) error {
	// Check first, so that a missing stream or an unreachable server is reported
	// before any input is read.
	if _, err := c.Append(ctx, t.key, nil); err != nil {
		return err
	}
	deliver, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	// Others may push to the same log, for example a message or another pipe.
	w := c.Writer(deliver, t.key, client.Level(f.Level), client.Shared())

	var dst io.Writer = w
	if f.Tee {
		dst = io.MultiWriter(s.Stdout, w)
	}
	// Reading standard input cannot be interrupted: when ctx ends, this goroutine
	// stays until the process exits. Writes to a closed w fail.
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(dst, s.Stdin)
		copied <- err
	}()
	var err error
	select {
	case err = <-copied:
	case <-ctx.Done():
		err = context.Cause(ctx)
		late := time.AfterFunc(flushTime, func() { giveUp(fmt.Errorf("not delivered within %v: %w", flushTime, errLost)) })
		defer late.Stop()
	}
	return delivered(w, err)
}

// delivered closes w. If w has failed, its error is returned alone, because it also
// ended the copying.
func delivered(w *client.Writer, copyErr error) error {
	closeErr := w.Close()
	st := w.Stats()
	if lost := st.Lines - st.Sent; lost > 0 && closeErr != nil {
		return fmt.Errorf("%d of %d lines were not delivered: %w", lost, st.Lines, closeErr)
	}
	if closeErr != nil {
		return closeErr
	}
	return copyErr
}
