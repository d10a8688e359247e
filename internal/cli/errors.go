package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/screen"
	"github.com/harness/log-service/internal/server"
	"github.com/harness/log-service/internal/setting"
)

// Exit statuses; docs/cli.md documents them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitForbidden   = 4
	exitConflict    = 5
	exitUnavailable = 6
	exitDamaged     = 7
	exitInterrupted = 130 // 128 + SIGINT, as in shells
)

// errTimeout ends a command when --timeout has elapsed.
var errTimeout = errors.New("the time of --timeout is over")

// usage is an error in the command line or the input.
type usage struct {
	err  error
	hint string
}

func (u *usage) Error() string { return u.err.Error() }
func (u *usage) Unwrap() error { return u.err }

func usagef(format string, args ...any) error { return &usage{err: fmt.Errorf(format, args...)} }

// usageError converts a parser error to a usage error that refers to the help of
// the command.
func usageError(program string, err error) error {
	command := program
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			command = node.FullPath()
		}
	}
	if flag, ok := strings.CutSuffix(err.Error(), ` value but got "EOL" (<EOL>)`); ok { // the parser's words for an end
		flag, _, _ = strings.Cut(flag, ":")
		err = fmt.Errorf("%s needs a value", flag)
	}
	return &usage{err: err, hint: "see: " + command + " --help"}
}

// hinted adds a hint to an error.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

func withHint(err error, format string, args ...any) error {
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

// report prints err, in at most three lines per error, and returns its exit status.
func (s *session) report(ctx context.Context, err error) int {
	status := exitStatus(ctx, err)
	if ended := new(commandEnded); errors.As(err, &ended) || status == exitInterrupted || errors.Is(err, errNothing) {
		return status // the user interrupted it, or sees that nothing was found
	}
	for _, e := range parts(err) {
		text, way := e.Error(), hint(e)
		if plain, d := s.diagnose(ctx, e); d != nil {
			text = plain
			if !errors.As(e, new(*undelivered)) {
				way = d.hint
			}
		}
		fmt.Fprintf(s.Stderr, "error: %s\n", oneLine(text))
		if way != "" {
			fmt.Fprintf(s.Stderr, "hint: %s\n", oneLine(way))
		}
		if id := requestID(e); id != "" {
			fmt.Fprintf(s.Stderr, "request: %s\n", oneLine(id))
		}
	}
	return status
}

// maxOneLine is more than any message of ours: longer ones come from a peer.
const maxOneLine = 2000

// oneLine makes text from elsewhere, such as a server, fit to be printed within a
// line: without control characters, without line breaks, and not endless.
func oneLine(s string) string {
	var b strings.Builder
	f := screen.NewWriter(&b, false)
	_, _ = io.WriteString(f, s) // a strings.Builder accepts everything
	_ = f.Close()
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, b.String())
	if len(text) > maxOneLine {
		return strings.ToValidUTF8(text[:maxOneLine], "") + "…"
	}
	return text
}

// parts returns the errors joined in err, each of which gets its own lines.
func parts(err error) (all []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && strings.Contains(err.Error(), "\n") {
		for _, e := range joined.Unwrap() {
			all = append(all, parts(e)...)
		}
		return all
	}
	return []error{err}
}

// exitStatus is the mapping of errors to exit statuses.
func exitStatus(ctx context.Context, err error) int {
	var (
		u       *usage
		setting *setting.Error
		op      *net.OpError
		closed  *closedError
	)
	lost, ended := new(undelivered), new(commandEnded)
	switch {
	case errors.As(err, &ended):
		return ended.status
	case errors.As(err, &lost):
		return exitUnavailable
	case errors.Is(err, errTimeout):
		return exitUnavailable
	case errors.As(err, &u), errors.As(err, &setting):
		return exitUsage
	case isUntrusted(err), errors.Is(err, http.ErrSchemeMismatch):
		return exitError // retrying does not help
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))):
		return exitInterrupted
	case errors.As(err, &closed):
		return exitConflict
	case errors.Is(err, logservice.ErrStreamNotFound), errors.Is(err, logservice.ErrBlobNotFound), errors.Is(err, errNoContext):
		return exitNotFound
	case errors.Is(err, logservice.ErrDamaged):
		return exitDamaged
	case errors.Is(err, logservice.ErrUnauthorized), errors.Is(err, logservice.ErrForbidden):
		return exitForbidden
	case errors.Is(err, logservice.ErrConflict):
		return exitConflict
	case errors.Is(err, logservice.ErrInvalid):
		if e, ok := errors.AsType[*client.Error](err); ok && e.Foreign {
			return exitError // another server's 400 is about the address
		}
		return exitUsage
	case errors.Is(err, logservice.ErrUnavailable):
		return exitUnavailable
	case errors.As(err, &op) && op.Op == "listen": // the server's own address
		return exitError
	case errors.As(err, &op), errors.Is(err, io.ErrUnexpectedEOF): // cut off while reading
		return exitUnavailable
	}
	return exitError
}

func isUntrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// hint says how to fix err.
func hint(err error) string {
	var (
		u       *usage
		h       *hinted
		setting *setting.Error
		inUse   *server.InUseError
		folder  *server.FolderError
		listen  *net.OpError
	)
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, new(*undelivered)):
		return ""
	case errors.As(err, &u):
		return u.hint
	case errors.As(err, &setting):
		return setting.Hint
	case errors.Is(err, logservice.ErrUnauthorized):
		return "give a token with --token, or in LOG_SERVICE_TOKEN"
	case errors.As(err, &inUse):
		return "stop that server, or give this one a folder of its own: LOG_SERVICE_DATA=..."
	case errors.As(err, &folder):
		return "the server must be allowed to write there; or name another folder: LOG_SERVICE_DATA=..."
	case errors.As(err, &listen) && listen.Op == "listen":
		if strings.Contains(err.Error(), "LOG_SERVICE_GRPC_BIND") {
			return "give another address, for example LOG_SERVICE_GRPC_BIND=127.0.0.1:8081, or LOG_SERVICE_GRPC_BIND=off for none"
		}
		return "give another address, for example LOG_SERVICE_HTTP_BIND=127.0.0.1:8080"
	}
	return serverHint(err)
}
