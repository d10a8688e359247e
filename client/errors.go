package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
)

// maxErrorBytes limits how much of an error response is read; a longer one is not
// meant for people.
const maxErrorBytes = 64 << 10

// Error is a request that the server rejected. It wraps the error of package
// logservice that matches the status.
type Error struct {
	Op        string // what was requested, for example "append to a/b/c/d"
	Status    int    // HTTP status; over gRPC, its HTTP equivalent
	Code      string // the server's error code; may be empty
	Message   string // the server's message
	Hint      string // the server's suggestion; may be empty
	RequestID string // identifies the request in the server's log; may be empty
	// Foreign: the answer is not from a log service, but from a proxy or another
	// server.
	Foreign bool

	cause error
}

func (e *Error) Error() string { return e.Op + ": " + e.Message }
func (e *Error) Unwrap() error { return e.cause }

// answerError parses the error in resp. It does not close the body.
func answerError(op string, resp *http.Response) error {
	var body struct {
		Message  string `json:"error_msg"`
		Code     string `json:"reason"`
		Hint     string `json:"hint"`
		Request  string `json:"request_id"`
		Expected int64  `json:"expected"`
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // if the body is cut off, the status remains
	ours := json.Unmarshal(raw, &body) == nil && body.Message != ""
	e := &Error{Op: op, Status: resp.StatusCode, Code: body.Code, Message: body.Message, Hint: body.Hint, RequestID: body.Request}
	if e.RequestID == "" {
		e.RequestID = resp.Header.Get("X-Request-Id")
	}
	if !ours {
		e.Message = fmt.Sprintf("the server answered %s", resp.Status)
		if isPage(resp) {
			e.Message = "the server answered with a web page, " + resp.Status
		}
		e.Foreign = true
		switch {
		case resp.StatusCode/100 == 3:
			e.redirected(resp)
		case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed:
			e.Hint = "this may not be a log service, or an older one: check the server address"
		}
	}
	e.cause = causeOf(resp, e, ours)
	if e.Status == http.StatusConflict {
		if n := nextSequence(resp); n > 0 {
			body.Expected = n
		}
		if body.Expected > 0 {
			offset, _ := strconv.ParseInt(resp.Request.URL.Query().Get("offset"), 10, 64) // as sent by this client
			e.cause = &logservice.SequenceError{Offset: offset, Expected: body.Expected}
		}
	}
	return e
}

// isPage reports that a response is meant for a browser: log services send none on
// the routes that clients use.
func isPage(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html" || kind == "application/xhtml+xml"
}

// foreignError returns the error of a response of status 2xx that is not from a log
// service, such as the login page of a network.
func foreignError(op string, resp *http.Response) error {
	return &Error{
		Op: op, Status: resp.StatusCode, Foreign: true, cause: logservice.ErrUnsupported,
		Message: fmt.Sprintf("%s answered %s with a web page", resp.Request.URL.Host, resp.Status),
		Hint:    "this is no log service: check the server address, and whether a proxy or a login page is in between",
	}
}

// redirected says where a redirect leads that is not followed, see checkRedirect.
func (e *Error) redirected(resp *http.Response) {
	to, err := resp.Location()
	if err != nil {
		return
	}
	origin := url.URL{Scheme: to.Scheme, Host: to.Host}
	e.Message = "the server redirects to " + origin.String()
	e.Hint = "use that as the server address, if you trust it"
}

// refusalError converts an error that did not come over HTTP.
func refusalError(op string, r *transport.Refusal) error {
	e := &Error{Op: op, Status: r.Status, Code: r.Code, Message: r.Message, Hint: r.Hint, RequestID: r.RequestID}
	if r.Expected > 0 {
		e.cause = &logservice.SequenceError{Offset: r.Offset, Expected: r.Expected}
	} else {
		e.cause = causeOfKind(logservice.KindOfCode(r.Code), r.Message, r.RetryAfter)
	}
	return e
}

// causeOfKind returns the error of package logservice for kind k, or nil if the
// error is internal.
func causeOfKind(k logservice.Kind, message string, retryAfter time.Duration) error {
	switch {
	case k.Temporary():
		return &logservice.UnavailableError{Cause: logservice.Errorf(k.Err, "%s", message), RetryAfter: retryAfter}
	case k.Err != nil:
		return k.Err
	}
	return nil
}

// causeOf returns the error of package logservice for an HTTP response. A missing
// log is identified by its message, because its status differs between calls;
// other errors without a known code are identified by status.
func causeOf(resp *http.Response, e *Error, ours bool) error {
	switch {
	case e.Message == logservice.ErrStreamNotFound.Error():
		return logservice.ErrStreamNotFound
	case e.Message == logservice.ErrBlobNotFound.Error():
		return logservice.ErrBlobNotFound
	case e.Message == "no token in header": // with status 400
		return logservice.ErrUnauthorized
	}
	k := logservice.KindOfCode(e.Code)
	if k.Err == nil {
		k = logservice.KindOfStatus(e.Status)
	}
	if e.Status == http.StatusNotFound && k.Code != e.Code {
		switch {
		case !ours:
			return logservice.ErrUnsupported
		case strings.Contains(resp.Request.URL.Path, "/blob"):
			return logservice.ErrBlobNotFound
		}
	}
	return causeOfKind(k, e.Message, retryAfter(resp.Header))
}

// retryAfter parses the Retry-After header: seconds or an HTTP date.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseInt(v, 10, 32); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// nextSequence returns zero if the server did not send one.
func nextSequence(resp *http.Response) int64 {
	n, err := strconv.ParseInt(resp.Header.Get(logservice.HeaderNextSequence), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
