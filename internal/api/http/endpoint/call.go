package endpoint

import (
	"net/http"

	"github.com/harness/log-service/internal/api/access"
	"github.com/harness/log-service/internal/auth"
)

// Func answers a call, or returns the error that answers it. Once it has
// written something, it may only return errors from Aborted.
type Func func(*Call) error

// On returns a Func of two parts: find, a function of a dialect, finds what a
// call acts on, and do acts on it.
func On[T any](find func(*Call) (T, error), do func(*Call, T) error) Func {
	return func(c *Call) error {
		found, err := find(c)
		if err != nil {
			return err
		}
		return do(c, found)
	}
}

// Call is one request and its response.
type Call struct {
	http.ResponseWriter
	Request *http.Request
	Query   Query  // parsed once, here
	ID      string // of the request, to find it in logs

	status   int
	cut      bool  // the response was interrupted
	took     bool  // the whole body was read
	answered error // the answer is not that of an error, and the log has it

	api    *API
	needs  auth.Verbs // any of these; see Handler
	token  string     // set by a dialect that has it elsewhere than in the usual headers
	known  bool       // caller was determined from the request's token
	caller access.Caller
	ticket *auth.Grant // of which only the IDs are known

	account string    // requested, for the log of requests
	keys    []string  // the same
	first   [1]string // memory for keys: most requests have one
}

// WriteHeader sends the status and remembers it.
func (c *Call) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (c *Call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController access to the server's writer.
func (c *Call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// NoContent answers 204.
func (c *Call) NoContent() error {
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// Text answers 200 with s.
func (c *Call) Text(s string) error {
	h := c.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	Harmless(h)
	return c.send(http.StatusOK, s)
}

// send answers with a small body.
func (c *Call) send(status int, s string) error {
	c.WriteHeader(status)
	if c.Request.Method == http.MethodHead {
		return nil
	}
	_, err := c.Write([]byte(s))
	return Aborted(err)
}

// Harmless prevents browsers from interpreting an answer beyond its content
// type: logs are hostile text.
func Harmless(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
}
