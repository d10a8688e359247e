package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/setting"
)

const (
	// unreachedTime is how long the end of a build waits for a server that has
	// never answered: it may just be starting, but more likely its address is wrong.
	unreachedTime = 10 * time.Second
	// flushTime limits how long an interrupted command may take to deliver what it
	// has read: the user is waiting for it to end.
	flushTime = 10 * time.Second
)

// minToken is the length from which the token itself is masked: shorter ones are of
// tests, and may be ordinary words.
const minToken = 16

// persistent is the retry policy of closing a log after its lines: the server may
// have been restarted just now. Lines are tried for as long as there is time.
var persistent = client.Retry{Total: 30 * time.Second, First: 100 * time.Millisecond, Most: time.Second}

// deliveryFlags are those of commands that send what another program prints.
type deliveryFlags struct {
	Mask    []string `sep:"none" placeholder:"TEXT" help:"Send *** in place of this text, also where it is encoded (repeatable)."`
	MaskEnv []string `name:"mask-env" placeholder:"NAME" help:"The same for the value of an environment variable, which no list of processes shows (repeatable)."`
	Spool   size     `placeholder:"SIZE" default:"1GiB" help:"Space for lines in a temporary file while the server is away (${default})."`
}

// size is a number of bytes as in settings: 512MiB.
type size int64

func (z *size) UnmarshalText(text []byte) (err error) {
	n, err := setting.ParseSize(string(text))
	*z = size(n)
	return err
}

// options returns those of a writer to t. Others may write to the same log, for
// example a message from within a build: a writer that claimed the log for itself
// would take their lines for its own.
func (f *deliveryFlags) options(t target) []client.WriterOption {
	secrets := f.Mask
	for _, name := range f.MaskEnv {
		secrets = append(secrets, os.Getenv(name))
	}
	if len(t.token) >= minToken {
		secrets = append(secrets, t.token) // which a build that prints its environment shows
	}
	return []client.WriterOption{client.BestEffort(), client.Shared(), client.Mask(secrets...), client.Spill(int64(f.Spool))}
}

// delivery sends the output of another program, which never notices: writes to w
// do not fail or wait, and the end is waited for within limits.
type delivery struct {
	s      *session
	c      *client.Client
	w      *client.Writer
	key    logservice.Key
	giveUp context.CancelCauseFunc
}

// deliver starts a delivery. It does not contact the server yet.
func (s *session) deliver(t target, opts ...client.WriterOption) (*delivery, error) {
	c, err := s.client(t, persistent, s.errorsOnly())
	if err != nil {
		return nil, err
	}
	d := &delivery{s: s, c: c, key: t.key}
	var ctx context.Context
	ctx, d.giveUp = context.WithCancelCause(context.Background()) // its end is finish's
	d.w = c.Writer(ctx, t.key, opts...)
	return d, nil
}

// finish waits until everything is delivered, and closes the log if it is to. When
// ctx ends, the user is waiting, and it takes no longer than flushTime. The error is
// an *undelivered if there are lines that the server does not have.
func (d *delivery) finish(ctx context.Context, closeLog bool) error {
	defer d.giveUp(nil)
	end, cancel := d.limit(ctx)
	defer cancel()
	err := d.w.CloseContext(end)
	if lost, ok := errors.AsType[*client.LostError](err); ok {
		err = lost.Err
		if lost.Lines > 0 {
			err = &undelivered{lost: lost.Lines, lines: d.w.Stats().Lines, bytes: lost.Bytes, err: err}
		}
	}
	if !closeLog || isFinal(err) {
		return err
	}
	// An interrupted log too: nobody will write to it any more.
	return errors.Join(err, d.c.Close(end, d.key))
}

// limit returns the context of what finish does.
func (d *delivery) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	end, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(flushTime, func() {
			giveUp(logservice.Errorf(logservice.ErrUnavailable, "interrupted, and not done within %v", flushTime))
		})
	})
	if limit := d.s.root.Timeout; limit > 0 {
		end, cancel := context.WithTimeoutCause(end, limit, logservice.Errorf(logservice.ErrUnavailable, "not done within the %v of --timeout", limit))
		return end, func() { stop(); cancel(); giveUp(nil) }
	}
	late := time.AfterFunc(unreachedTime, func() {
		if !d.w.Stats().Reached {
			giveUp(logservice.Errorf(logservice.ErrUnavailable, "the server was not reached within %v", unreachedTime))
		}
	})
	return end, func() { stop(); late.Stop(); giveUp(nil) }
}

// isFinal reports whether closing the log would fail for the same reason as err.
func isFinal(err error) bool {
	return errors.Is(err, logservice.ErrUnavailable) || errors.Is(err, logservice.ErrStreamNotFound) ||
		errors.Is(err, logservice.ErrForbidden) || errors.Is(err, logservice.ErrUnauthorized)
}

// undelivered reports lines of another program that the server does not have.
type undelivered struct {
	lost, lines, bytes int64
	err                error
}

func (u *undelivered) Error() string {
	return fmt.Sprintf("%d of %d lines (%d bytes) were not delivered: %v", u.lost, u.lines, u.bytes, u.err)
}
func (u *undelivered) Unwrap() error { return u.err }

// errorsOnly keeps notes of the client off standard error: what is lost is reported
// once, at the end.
func (s *session) errorsOnly() client.Option {
	level := slog.LevelError
	if s.root.verbose() {
		level = slog.LevelDebug
	}
	return client.WithLogger(slog.New(slog.NewTextHandler(s.Stderr, &slog.HandlerOptions{Level: level})))
}

// inOneLine describes an error of a command that goes on.
func (s *session) inOneLine(err error) string {
	var all []string
	for _, e := range parts(err) {
		text := e.Error()
		if plain, d := s.diagnose(context.Background(), e); d != nil {
			text = plain
		}
		all = append(all, oneLine(text))
	}
	return strings.Join(all, "; ")
}
