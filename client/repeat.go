package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
	"github.com/harness/log-service/internal/backoff"
)

// attempts describes an operation and its retries.
type attempts struct {
	op    string // for messages, for example "append to a/b/c/d"
	retry Retry
	// again, if set, may veto a retry after an error.
	again func(error) bool
	// onRetry, if set, is called before each retry.
	onRetry func()
	// doubtful is set by repeat: the server may have executed an attempt
	// before the last one, although it failed.
	doubtful bool
}

// repeat retries until the operation succeeds or its error is final.
func (c *Client) repeat(ctx context.Context, a *attempts, try func() error) error {
	p := a.retry.pauses()
	renewed := false
	var last error // of the attempt before
	for {
		err := c.explain(ctx, a.op, try())
		if !renewed && err != nil && c.renewed(err) && (a.again == nil || a.again(err)) {
			renewed = true
			continue
		}
		if cause := context.Cause(ctx); last != nil && cause != nil && errors.Is(err, cause) {
			return &endedError{op: a.op, cause: cause, before: last}
		}
		if err == nil || ctx.Err() != nil || !repeatable(err) || (a.again != nil && !a.again(err)) {
			return err
		}
		wait, again := p.after(wantedPause(err))
		if !again {
			return err
		}
		last = err
		a.doubtful = a.doubtful || doubtful(err)
		if a.onRetry != nil {
			a.onRetry()
		}
		c.log.DebugContext(ctx, "log service request failed, trying again", "error", err, "wait", wait)
		if cause := backoff.Sleep(ctx, wait); cause != nil {
			return &endedError{op: a.op, cause: cause, before: err}
		}
	}
}

// endedError is the end of the caller's context after a failed attempt.
type endedError struct {
	op            string
	cause, before error
}

func (e *endedError) Error() string {
	return fmt.Sprintf("%s: %v (before that: %s)", e.op, e.cause, strings.TrimPrefix(e.before.Error(), e.op+": "))
}
func (e *endedError) Unwrap() error { return e.cause }

// Before returns the error of the last attempt.
func (e *endedError) Before() error { return e.before }

// explain converts the errors of a transport to those of this package.
func (c *Client) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	refusal, refused := errors.AsType[*transport.Refusal](err)
	gone, unreachable := errors.AsType[*transport.Unreachable](err)
	switch {
	case refused:
		return refusalError(op, refusal)
	case !unreachable:
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	return fmt.Errorf("%s: %w", op, &logservice.UnavailableError{Cause: fmt.Errorf("%s: %w", c.base.Host, gone.Err)})
}

// repeatable reports whether the same request may succeed later.
func repeatable(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Status {
		case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
			http.StatusInsufficientStorage: // of other servers
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return false // the other side does not speak TLS
	}
	return errors.Is(err, logservice.ErrUnavailable)
}

// doubtful reports whether the server may have executed a failed request. It has
// not if no connection was made, or if the server reported itself unavailable.
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
