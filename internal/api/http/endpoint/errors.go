package endpoint

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api"
)

// answer is the body of an error. Old clients parse error_msg, and code as an
// integer.
type answer struct {
	Message   string `json:"error_msg"`
	Code      int    `json:"code"` // the status
	Reason    string `json:"reason"`
	Hint      string `json:"hint,omitempty"`
	Offset    int64  `json:"offset,omitempty"`   // of an append that leaves a gap
	Expected  int64  `json:"expected,omitempty"` // what it should have been
	RequestID string `json:"request_id,omitempty"`
}

// statusError is an error with a status that only HTTP has.
type statusError struct {
	status      int
	reason      string
	msg, hint   string
	cause       error
	name, value string // a header that goes with it
}

func (e *statusError) Error() string { return e.msg }
func (e *statusError) Unwrap() error { return e.cause }

// NotFound answers 404 with its own message.
func NotFound(msg, hint string) error {
	return &statusError{status: http.StatusNotFound, reason: "not_found", msg: msg, hint: hint}
}

// NotImplemented is a Func for routes of other products.
func NotImplemented(*Call) error {
	return logservice.Errorf(logservice.ErrUnsupported, "not supported: this route belongs to another product than the log service")
}

// errAborted ends a response that has begun in a way that its reader notices.
type errAborted struct{ cause error }

func (e *errAborted) Error() string { return "answer cut: " + e.cause.Error() }
func (e *errAborted) Unwrap() error { return e.cause }

// Aborted marks an error that occurred after a part of the response was sent:
// the connection is closed abruptly, so that the part is not mistaken for the
// whole. Nil is nil.
func Aborted(err error) error {
	if err == nil {
		return nil
	}
	return &errAborted{err}
}

// fail answers a call with err, and reports whether err has details that only
// the server's log may show.
func (c *Call) fail(err error) (internal bool) {
	h := c.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition", "Last-Modified", "Accept-Ranges"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	var own *statusError
	if errors.As(err, &own) {
		if own.name != "" {
			h.Set(own.name, own.value)
		}
		_ = c.json(own.status, answer{Message: own.msg, Code: own.status, Reason: own.reason, Hint: own.hint, RequestID: c.ID})
		return false
	}
	f := api.Describe(c.Request.Context(), err)
	if f.Expected > 0 {
		h.Set(logservice.HeaderNextSequence, strconv.FormatInt(f.Expected, 10))
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", seconds(f.RetryAfter))
	}
	// The peer may have disconnected: then nobody reads the answer.
	_ = c.json(f.Status, answer{Message: f.Message, Code: f.Status, Reason: f.Code, Hint: f.Hint, Offset: f.Offset, Expected: f.Expected, RequestID: c.ID})
	return f.Internal
}

// seconds is a value of Retry-After.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

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
