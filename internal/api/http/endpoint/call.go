package endpoint

import (
	"net/http"

	"github.com/harness/log-service/internal/api/access"
	"github.com/harness/log-service/internal/auth"
)

// Func answers a call, or returns the error that answers it. Once it has
// written something it may only return errors made by Aborted.
type Func func(*Call) error

// On is a Func of two halves: find, a function of a dialect, finds what a call
// is about, and do does it.
func On[T any](find func(*Call) (T, error), do func(*Call, T) error) Func {
	return func(c *Call) error {
		found, err := find(c)
		if err != nil {
			return err
		}
		return do(c, found)
	}
}

// Call is one request and the way to answer it.
type Call struct {
	http.ResponseWriter
	Request *http.Request
	Query   Query  // parsed once, here
	ID      string // of the request, for people who compare logs

	status   int
	cut      bool  // the answer was broken off
	took     bool  // the whole body
	answered error // the answer is not that of an error, and the log has it

	api    *API
	needs  auth.Verbs // any of these; see Handler
	token  string     // of a dialect that has it elsewhere than in the usual headers
	known  bool       // caller is that of the request's token
	caller access.Caller

	account string    // what the request asked for, for the log of requests
	keys    []string  // the same
	first   [1]string // where keys begin: most requests have one
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

// Unwrap lets http.ResponseController find what the server offers.
func (c *Call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// NoContent answers 204.
func (c *Call) NoContent() error {
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// Text answers 200 with s as it is.
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

// Harmless keeps browsers from taking an answer for more than what its
// content type says: logs are hostile text.
func Harmless(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
}
