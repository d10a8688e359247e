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

	logservice "github.com/harness/log-service"
)

// kinds is the one table from errors to answers; the first row that matches
// counts. The client turns the same codes and statuses back into the errors.
//
// Words that clients know are fixed here; other rows answer the words of the
// error itself (own), which name the caller's input. What any other error
// says stays in the server's log.
func kinds() []kind {
	return []kind{
		{err: logservice.ErrStreamNotFound, status: http.StatusNotFound, code: "stream_not_found",
			hint: "open the stream first, or read the archived log"},
		{err: logservice.ErrBlobNotFound, status: http.StatusNotFound, code: "blob_not_found"},
		{err: logservice.ErrTooLarge, status: http.StatusRequestEntityTooLarge, code: "too_large", own: true},
		{err: logservice.ErrConflict, status: http.StatusConflict, code: "conflict", own: true},
		{err: logservice.ErrUnauthorized, status: http.StatusBadRequest, code: "not_authenticated", own: true},
		{err: logservice.ErrForbidden, status: http.StatusForbidden, code: "forbidden", own: true},
		{err: logservice.ErrInvalid, status: http.StatusBadRequest, code: "invalid", own: true},
		{err: logservice.ErrUnsupported, status: http.StatusNotImplemented, code: "unsupported", own: true},
		{err: logservice.ErrUnavailable, status: http.StatusServiceUnavailable, code: "unavailable",
			hint: "the same request may succeed later"},
	}
}

type kind struct {
	err    error
	status int
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
	status, a, internal := describe(err)
	a.RequestID = c.ID
	h := c.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition", "Last-Modified", "Accept-Ranges", "Cache-Control"} {
		h.Del(name)
	}
	var own *statusError
	if errors.As(err, &own) && own.name != "" {
		h.Set(own.name, own.value)
	}
	if a.Expected > 0 {
		h.Set(logservice.HeaderNextSequence, strconv.FormatInt(a.Expected, 10))
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter(err))
	}
	_ = c.json(status, a) // the peer is gone: nobody is left to tell
	return internal
}

func describe(err error) (status int, a answer, internal bool) {
	var own *statusError
	if errors.As(err, &own) {
		return own.status, answer{Message: own.msg, Code: own.code, Hint: own.hint}, false
	}
	var gap *logservice.SequenceError
	if errors.As(err, &gap) {
		return http.StatusConflict, answer{Message: gap.Error(), Code: "sequence_gap", Offset: gap.Offset, Expected: gap.Expected,
			Hint: "send the lines from the expected one on"}, false
	}
	for _, k := range kinds() {
		if !errors.Is(err, k.err) {
			continue
		}
		a = answer{Message: k.err.Error(), Code: k.code, Hint: k.hint}
		if k.own {
			a.Message = err.Error()
		}
		return k.status, a, k.status >= 500 && !k.own
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) {
		// The peer went away: it will not see this.
		return http.StatusBadRequest, answer{Message: "the request ended early", Code: "invalid"}, false
	}
	return http.StatusInternalServerError, answer{Message: "internal error", Code: "internal",
		Hint: "the server's log has more under this request_id"}, true
}

func retryAfter(err error) string {
	wait := defaultRetryAfter
	var u *logservice.UnavailableError
	if errors.As(err, &u) && u.RetryAfter > 0 {
		wait = u.RetryAfter
	}
	return strconv.Itoa(int(math.Ceil(wait.Seconds())))
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
