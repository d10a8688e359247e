package client

import (
	"context"
	"errors"
	"fmt"

	logservice "github.com/harness/log-service"
)

// WithToken sends token with every request.
func WithToken(token string) Option {
	return func(c *Client) error {
		c.tokens, c.renewable = func(context.Context) (string, error) { return token, nil }, false
		return nil
	}
}

// WithTokenSource asks f for the token of every request, for tokens that expire.
// f must be safe for concurrent use, and should remember its token while it is
// valid. An empty token sends none. If f fails, the request is retried like one
// to an unreachable server.
//
// A request that the server rejects because of its token is repeated once, with a
// new token from f: a token may expire between the call of f and the check.
func WithTokenSource(f func(context.Context) (string, error)) Option {
	return func(c *Client) error {
		if f == nil {
			return logservice.Invalidf("WithTokenSource(nil): give a function that returns the token")
		}
		c.tokens, c.renewable = f, true
		return nil
	}
}

// token returns the token of one attempt; empty if there is none.
func (c *Client) token(ctx context.Context) (string, error) {
	if c.tokens == nil {
		return "", nil
	}
	token, err := c.tokens(ctx)
	switch {
	case err == nil:
		return token, nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	}
	return "", &logservice.UnavailableError{Cause: fmt.Errorf("no token: %w", err)}
}

// renewed reports whether an operation that has failed may succeed with a new
// token. An expired one is forbidden; so is what no token allows.
func (c *Client) renewed(err error) bool {
	return c.renewable && (errors.Is(err, logservice.ErrUnauthorized) || errors.Is(err, logservice.ErrForbidden))
}
