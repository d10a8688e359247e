package endpoint

import (
	"net/http"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api"
	"github.com/harness/log-service/internal/api/http/public"
)

// ExposedHeaders are the headers of answers that scripts of other origins may
// read.
const ExposedHeaders = logservice.HeaderState + ", " + logservice.HeaderNextSequence + ", " + api.HeaderRequestID

// requestHeaders are the headers that scripts of other origins may send.
const requestHeaders = "Authorization, Content-Encoding, Content-Type, Last-Event-ID, Range, X-Harness-Token, " + api.HeaderRequestID

// preflightAge is for how many seconds a browser may remember the answer to
// OPTIONS: ten minutes, which all browsers permit.
const preflightAge = "600"

// Options answers OPTIONS for a path that allows some methods, some of them
// to browsers of other origins.
func (a *API) Options(allow, cors string) Func {
	return func(c *Call) error {
		h := c.Header()
		h.Set("Allow", allow)
		if origin := a.public.Allowed(c.Request, a.auth == nil); cors != "" && origin != "" {
			h.Set("Access-Control-Allow-Origin", origin)
			if origin != public.AnyOrigin {
				h.Add("Vary", "Origin")
			}
			h.Set("Access-Control-Allow-Methods", cors)
			h.Set("Access-Control-Allow-Headers", requestHeaders)
			h.Set("Access-Control-Max-Age", preflightAge)
		}
		return c.NoContent()
	}
}

// MethodNotAllowed answers 405 for a path that allows some other methods.
func MethodNotAllowed(allow string) Func {
	return func(c *Call) error {
		return &statusError{status: http.StatusMethodNotAllowed, reason: "method_not_allowed", name: "Allow", value: allow,
			msg: c.Request.Method + " is not allowed here: use " + strings.ReplaceAll(allow, ", OPTIONS", "")}
	}
}

// Health reports that the process responds.
func (a *API) Health(c *Call) error { return c.Text("OK") }

// Ready reports whether the server accepts requests: not once it stops, nor
// while a backend does not work, which the answer names. It takes at most a
// second.
func (a *API) Ready(c *Call) error {
	select {
	case <-a.unready:
		return api.ErrStopping
	case <-a.stop:
		return api.ErrStopping
	default:
	}
	if err := a.service.Check(c.Request.Context()); err != nil {
		return &statusError{status: http.StatusServiceUnavailable, reason: "unavailable", msg: err.Error(), name: "Retry-After", value: "1"}
	}
	return c.Text("OK")
}
