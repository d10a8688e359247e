package cli

import (
	"context"
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

// oneShot is the retry policy of interactive commands: it outlasts a server's
// restart, but does not wait long for an unreachable one.
var oneShot = client.Retry{Total: 3 * time.Second, First: 100 * time.Millisecond, Most: time.Second}

// session is the environment of a command: how it was called, and its flags.
type session struct {
	Program
	root  *root
	model *kong.Application
	// signals ends with a signal, and not with --timeout: a command that reads the
	// output of a build does not stop while that runs.
	signals context.Context
}

// client returns a client for t of the server given by the flags.
func (s *session) client(t target, retry client.Retry, more ...client.Option) (*client.Client, error) {
	level := slog.LevelWarn
	switch {
	case s.root.verbose():
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
	c, err := client.New(s.root.ServerURL, append(options, more...)...)
	if err != nil {
		return nil, &usage{err: err}
	}
	return c, nil
}

// colours reports whether colours in logs may pass: NO_COLOR, with any value,
// disables them (no-color.org).
func (s *session) colours() bool { return os.Getenv("NO_COLOR") == "" }

// noteIncomplete warns that the log just read may be incomplete.
func (s *session) noteIncomplete() {
	if !s.root.Quiet {
		fmt.Fprintln(s.Stderr, "note: the log is incomplete: its writer went silent and the server closed it; lines may be missing at its end")
	}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// serverHint returns the hint that the server sent with err.
func serverHint(err error) string {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Hint
	}
	return ""
}

// requestID returns the ID of the request that failed.
func requestID(err error) string {
	if errors.As(err, new(*undelivered)) {
		return "" // one line has all
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.RequestID
	}
	return ""
}
