package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/rpc"
)

// oneShot is how patient commands are that somebody waits for: a server that
// restarts is back by then, and one that is not there is not waited for.
var oneShot = client.Retry{Total: 3 * time.Second, First: 100 * time.Millisecond, Most: time.Second}

// session is what a command runs in.
type session struct {
	Program
	root  *root
	model *kong.Application
}

// client returns a client of the server that the flags name, for t.
func (s *session) client(t target, retry client.Retry) (*client.Client, error) {
	level := slog.LevelWarn
	switch {
	case s.root.Verbose:
		level = slog.LevelDebug
	case s.root.Quiet:
		level = slog.LevelError
	}
	options := []client.Option{
		client.WithAccount(t.account), client.WithToken(t.token), client.WithRetry(retry), rpc.Transport(),
		client.WithLogger(slog.New(slog.NewTextHandler(s.Stderr, &slog.HandlerOptions{Level: level}))),
	}
	tls, err := s.root.tlsConfig()
	if err != nil {
		return nil, err
	}
	if tls != nil {
		options = append(options, client.WithTLS(tls))
	}
	c, err := client.New(s.root.ServerURL, options...)
	if err != nil {
		return nil, &usage{err: err}
	}
	return c, nil
}

// colours reports whether the colours of logs may pass: NO_COLOR, set to
// anything, says no (no-color.org).
func (s *session) colours() bool { return os.Getenv("NO_COLOR") == "" }

// noteIncomplete says of a log that was read that it may not be whole.
func (s *session) noteIncomplete() {
	if !s.root.Quiet {
		fmt.Fprintln(s.Stderr, "note: the log is incomplete: its writer went silent and the server closed it; lines may be missing at its end")
	}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// serverHint is what the server says to whoever may not do something.
func serverHint(err error) string {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Hint
	}
	return ""
}

// requestID is the server's name for the request that failed.
func requestID(err error) string {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.RequestID
	}
	return ""
}
