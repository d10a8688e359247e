package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
)

// stallTimeout ends an attempt during which the server took no byte of the
// body and sent none of the answer. A server answers within 10 s; the rest is
// for slow links.
const stallTimeout = 30 * time.Second

var errStalled = errors.New("the server stopped answering")

// call is one request, sent as often as it takes.
type call struct {
	op           string // for messages: "append to a/b/c/d"
	method, path string
	query        url.Values
	header       http.Header // nil: nothing beside what every request has
	body         *body       // nil: none
	stall        time.Duration
	retry        Retry
	// once forbids to repeat a request that the server may have carried out.
	once bool
	// onRetry, if set, is told of every repetition.
	onRetry func()
	// doubtful is set by do: an attempt before the last one failed such that
	// the server may have carried it out.
	doubtful bool
}

// newCall returns a call about key, or the error of an invalid one.
func (c *Client) newCall(what, method, path string, key logservice.Key) (*call, error) {
	if _, err := logservice.ParseKey(string(key)); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	k := c.accountCall(what+" "+string(key), method, path)
	k.query.Set("key", string(key))
	return k, nil
}

// accountCall returns a call about the whole account.
func (c *Client) accountCall(op, method, path string) *call {
	return &call{
		op: op, method: method, path: path,
		query: url.Values{"accountID": {c.account}},
		stall: stallTimeout,
		retry: c.retry,
	}
}

// do sends k until the server accepts it, and returns the answer, whose
// status is 2xx; the caller closes its body.
func (c *Client) do(ctx context.Context, k *call) (*http.Response, error) {
	p := pauses{Retry: k.retry}
	for {
		resp, err := c.send(ctx, k)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil || !repeatable(err) || (k.once && doubtful(err)) || !k.body.rewind() {
			return nil, err
		}
		wait, again := p.after(wantedPause(err))
		if !again {
			return nil, err
		}
		k.doubtful = k.doubtful || doubtful(err)
		if k.onRetry != nil {
			k.onRetry()
		}
		c.log.DebugContext(ctx, "log service request failed, trying again", "error", err, "wait", wait)
		if cause := sleep(ctx, wait); cause != nil {
			return nil, fmt.Errorf("%s: %w (before that: %s)", k.op, cause, err.Error())
		}
	}
}

// run is do for answers without a body. It returns the next sequence, zero
// where the answer names none.
func (c *Client) run(ctx context.Context, k *call) (next int64, err error) {
	resp, err := c.do(ctx, k)
	if err != nil {
		return 0, err
	}
	drain(resp)
	return nextSequence(resp), nil
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
	if c.token != "" {
		req.Header.Set(HeaderToken, c.token)
	}
	k.body.attach(req, g)
	return req, nil
}

// networkError names what kept an attempt from being answered: the end of the
// caller's context, its own body, or a server out of reach.
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
	// The address that url.Error adds holds nothing that op does not say.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", k.op, &logservice.UnavailableError{Cause: fmt.Errorf("%s: %w", c.base.Host, err)})
}

// sourceError marks a failure of what the caller wanted to send.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// repeatable reports whether the same request may succeed later.
func repeatable(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Status {
		case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	return errors.Is(err, logservice.ErrUnavailable)
}

// doubtful reports whether a failed request may have been carried out: not
// when no connection was made, nor when the server said that it is not able
// to.
func doubtful(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status >= 500 && e.Status != http.StatusServiceUnavailable
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return false
	}
	return true
}

func wantedPause(err error) time.Duration {
	if e, ok := errors.AsType[*logservice.UnavailableError](err); ok {
		return e.RetryAfter
	}
	return 0
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
