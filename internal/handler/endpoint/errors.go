package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	logservice "github.com/harness/log-service"
)

// kinds is the one table from errors to answers, over HTTP and gRPC; the first
// row that matches counts. The client turns the same codes and statuses back
// into the errors.
//
// Words that clients know are fixed here; other rows answer the words of the
// error itself (own), which name the caller's input. What any other error
// says stays in the server's log.
func kinds() []kind {
	return []kind{
		{err: logservice.ErrStreamNotFound, status: http.StatusNotFound, grpc: codes.NotFound, code: "stream_not_found",
			hint: "open the stream first, or read the archived log"},
		{err: logservice.ErrBlobNotFound, status: http.StatusNotFound, grpc: codes.NotFound, code: "blob_not_found"},
		{err: logservice.ErrTooLarge, status: http.StatusRequestEntityTooLarge, grpc: codes.ResourceExhausted, code: "too_large", own: true},
		{err: logservice.ErrConflict, status: http.StatusConflict, grpc: codes.Aborted, code: "conflict", own: true},
		{err: logservice.ErrUnauthorized, status: http.StatusBadRequest, grpc: codes.Unauthenticated, code: "not_authenticated", own: true},
		{err: logservice.ErrForbidden, status: http.StatusForbidden, grpc: codes.PermissionDenied, code: "forbidden", own: true},
		{err: logservice.ErrInvalid, status: http.StatusBadRequest, grpc: codes.InvalidArgument, code: "invalid", own: true},
		{err: logservice.ErrUnsupported, status: http.StatusNotImplemented, grpc: codes.Unimplemented, code: "unsupported", own: true},
		{err: logservice.ErrLimit, status: http.StatusServiceUnavailable, grpc: codes.Unavailable, code: "limit", own: true},
		{err: logservice.ErrUnavailable, status: http.StatusServiceUnavailable, grpc: codes.Unavailable, code: "unavailable",
			hint: "the same request may succeed later"},
	}
}

type kind struct {
	err    error
	status int
	grpc   codes.Code
	code   string
	hint   string
	own    bool
}

// defaultRetryAfter is what a 503 tells clients to wait where the cause does
// not say.
const defaultRetryAfter = time.Second

// answer is the body of an error. Clients parse error_msg.
type answer struct {
	Message   string `json:"error_msg"`
	Code      string `json:"code"`
	Hint      string `json:"hint,omitempty"`
	Offset    int64  `json:"offset,omitempty"`   // of an append that leaves a gap
	Expected  int64  `json:"expected,omitempty"` // what it should have been
	RequestID string `json:"request_id,omitempty"`
}

// statusError is an error with an answer of its own.
type statusError struct {
	status      int
	code        string
	msg, hint   string
	cause       error
	name, value string // a header that goes with it
}

func (e *statusError) Error() string { return e.msg }
func (e *statusError) Unwrap() error { return e.cause }

// NotFound answers 404 with words of its own.
func NotFound(msg, hint string) error {
	return &statusError{status: http.StatusNotFound, code: "not_found", msg: msg, hint: hint}
}

// NotImplemented is a Func for routes of products outside this one.
func NotImplemented(*Call) error {
	return logservice.Errorf(logservice.ErrUnsupported, "not supported: this route belongs to another product than the log service")
}

// errAborted ends an answer that has begun in a way that its reader notices.
type errAborted struct{ cause error }

func (e *errAborted) Error() string { return "answer cut: " + e.cause.Error() }
func (e *errAborted) Unwrap() error { return e.cause }

// Aborted marks an error that came after a part of the answer was sent: the
// connection is cut, so that nobody takes the part for the whole. Nil is nil.
func Aborted(err error) error {
	if err == nil {
		return nil
	}
	return &errAborted{err}
}

// fail answers a call with err, and returns the status and whether err says
// something that only the log must know.
func (c *Call) fail(err error) (internal bool) {
	f := Describe(err)
	h := c.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition", "Last-Modified", "Accept-Ranges", "Cache-Control"} {
		h.Del(name)
	}
	var own *statusError
	if errors.As(err, &own) && own.name != "" {
		h.Set(own.name, own.value)
	}
	if f.Expected > 0 {
		h.Set(logservice.HeaderNextSequence, strconv.FormatInt(f.Expected, 10))
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	a := answer{Message: f.Message, Code: f.Code, Hint: f.Hint, Offset: f.Offset, Expected: f.Expected, RequestID: c.ID}
	_ = c.json(f.Status, a) // the peer is gone: nobody is left to tell
	return f.Internal
}

// Failure is how an error is answered, whatever the protocol.
type Failure struct {
	Status  int        // of HTTP
	GRPC    codes.Code // of gRPC
	Code    string     // for programs
	Message string
	Hint    string // may be empty

	// Offset and Expected are those of an append that leaves a gap, else zero.
	Offset, Expected int64
	// RetryAfter is when the same request may succeed, zero where it will not.
	RetryAfter time.Duration
	// Internal: the error says something that only the log must know.
	Internal bool
}

// Describe says how err is answered.
func Describe(err error) Failure {
	var own *statusError
	if errors.As(err, &own) {
		return Failure{Status: own.status, GRPC: codes.InvalidArgument, Message: own.msg, Code: own.code, Hint: own.hint}
	}
	var gap *logservice.SequenceError
	if errors.As(err, &gap) {
		return Failure{Status: http.StatusConflict, GRPC: codes.Aborted, Message: gap.Error(), Code: "sequence_gap", Offset: gap.Offset, Expected: gap.Expected,
			Hint: "send the lines from the expected one on"}
	}
	for _, k := range kinds() {
		if !errors.Is(err, k.err) {
			continue
		}
		f := Failure{Status: k.status, GRPC: k.grpc, Message: k.err.Error(), Code: k.code, Hint: k.hint}
		if k.own {
			f.Message = err.Error()
		}
		if k.status == http.StatusServiceUnavailable {
			f.RetryAfter = retryAfter(err)
		}
		f.Internal = k.status >= 500 && !k.own
		return f
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) {
		// The peer went away: it will not see this.
		return Failure{Status: http.StatusBadRequest, GRPC: codes.Canceled, Message: "the request ended early", Code: "invalid"}
	}
	return Failure{Status: http.StatusInternalServerError, GRPC: codes.Internal, Message: "internal error", Code: "internal",
		Hint: "the server's log has more under this request_id", Internal: true}
}

func retryAfter(err error) time.Duration {
	var u *logservice.UnavailableError
	if errors.As(err, &u) && u.RetryAfter > 0 {
		return u.RetryAfter
	}
	return defaultRetryAfter
}

// json answers with v.
func (c *Call) json(status int, v any) error {
	h := c.Header()
	h.Set("Content-Type", "application/json")
	Harmless(h)
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // links hold &
	if err := e.Encode(v); err != nil {
		return err
	}
	return c.send(status, strings.TrimSuffix(b.String(), "\n"))
}
