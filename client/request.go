package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
)

// stallTimeout ends an attempt during which the server has neither read a byte of
// the body nor sent one of the response. Servers respond within 10 s; the rest
// allows for slow links.
const stallTimeout = 30 * time.Second

var errStalled = errors.New("the server stopped answering")

// call is one request and its retries.
type call struct {
	attempts
	method, path string
	query        url.Values
	header       http.Header // besides those of every request; may be nil
	body         *body       // may be nil
	stall        time.Duration
	from         int64 // the first byte of a range
	// once forbids retrying a request that the server may have executed.
	once bool
}

// newCall returns a call on key, or an error if key is invalid.
func (c *Client) newCall(what, method, path string, key logservice.Key) (*call, error) {
	if err := checkKey(what, key); err != nil {
		return nil, err
	}
	return c.keyCall(what, method, path, string(key)), nil
}

func checkKey(what string, key logservice.Key) error {
	if _, err := logservice.ParseKey(string(key)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// keyCall returns a call on a valid key.
func (c *Client) keyCall(what, method, path, key string) *call {
	k := c.accountCall(what+" "+key, method, path)
	k.query.Set("key", key)
	return k
}

// accountCall returns a call on the whole account.
func (c *Client) accountCall(op, method, path string) *call {
	return &call{
		attempts: attempts{op: op, retry: c.retry},
		method:   method, path: path,
		query: url.Values{"accountID": {c.account}},
		stall: stallTimeout,
	}
}

// do sends k until the server accepts it and returns the response, whose status is
// 2xx. The caller closes its body.
func (c *Client) do(ctx context.Context, k *call) (resp *http.Response, err error) {
	if c.isGRPC() {
		return nil, fmt.Errorf("%s: %w", k.op, logservice.Errorf(logservice.ErrUnsupported,
			"finished logs are not served over gRPC (%s): use the server's http or https address", c.base))
	}
	k.again = func(err error) bool { return (!k.once || !doubtful(err)) && k.body.rewind() }
	err = c.repeat(ctx, &k.attempts, func() error {
		resp, err = c.send(ctx, k) //nolint:bodyclose // the caller does
		return err
	})
	return resp, err
}

// run is do for responses without a body.
func (c *Client) run(ctx context.Context, k *call) error {
	resp, err := c.do(ctx, k)
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}

// send makes one attempt.
func (c *Client) send(ctx context.Context, k *call) (*http.Response, error) {
	attempt, cancel := context.WithCancelCause(ctx)
	guard := newGuard(k.stall, func() { cancel(errStalled) })
	req, err := c.request(attempt, k, guard)
	if err != nil {
		guard.stop()
		cancel(nil)
		return nil, err
	}
	guard.arm()
	resp, err := c.http.Do(req)
	guard.stop()
	if err != nil {
		err = c.networkError(ctx, attempt, k, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &guardedBody{
		body: resp.Body, ctx: attempt, cancel: cancel,
		guard: newGuard(k.stall, func() { cancel(errStalled) }),
	}
	if resp.StatusCode/100 != 2 {
		defer drain(resp)
		return nil, answerError(k.op, resp)
	}
	if isPage(resp) {
		defer drain(resp)
		return nil, foreignError(k.op, resp)
	}
	return resp, nil
}

func (c *Client) request(ctx context.Context, k *call, g *guard) (*http.Request, error) {
	u := *c.base
	u.Path = strings.TrimSuffix(u.Path, "/") + k.path
	u.RawPath = ""
	u.RawQuery = k.query.Encode()
	req, err := http.NewRequestWithContext(ctx, k.method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.op, err)
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	token, err := c.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.op, err)
	}
	if token != "" {
		req.Header.Set(HeaderToken, token)
	}
	k.body.attach(req, g)
	return req, nil
}

// networkError explains why an attempt got no response: the caller's context
// ended, its body failed, or the server was unreachable.
func (c *Client) networkError(ctx, attempt context.Context, k *call, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", k.op, context.Cause(ctx))
	}
	if source := k.body.failure(); source != nil {
		return fmt.Errorf("%s: reading what to send: %w", k.op, &sourceError{source})
	}
	if cause := context.Cause(attempt); cause != nil {
		err = cause
	}
	// op already says what the URL in url.Error would add.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", k.op, &logservice.UnavailableError{Cause: fmt.Errorf("%s: %w", c.base.Host, err)})
}

// sourceError marks an error of the caller's reader.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
