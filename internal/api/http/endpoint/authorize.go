package endpoint

import (
	"errors"
	"net/http"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/access"
	"github.com/harness/log-service/internal/auth"
)

// Log is a log that the caller may act on within the route's purpose.
type Log = access.Log

// Tree is every log at and below a prefix, on which the caller may act within
// the route's purpose.
type Tree = access.Tree

// Account is an account that the caller of a request may act in. Only
// Call.Account creates one, so that no dialect forgets the check.
type Account struct {
	access.Account
	call *Call
}

// Account parses the name of an account, verifies the token of the request, and
// checks that it grants what the route needs in this account.
func (c *Call) Account(name string) (Account, error) {
	name, err := logservice.ParseAccount(name)
	if err != nil {
		return Account{}, err
	}
	c.account = name
	caller, err := c.authenticate()
	if err != nil {
		return Account{}, c.refused(name, err)
	}
	a, err := caller.Account(name)
	return Account{a, c}, c.refused(name, err)
}

// Own returns the token's account, for dialects whose requests name none.
func (c *Call) Own() (Account, error) {
	caller, err := c.authenticate()
	if err != nil {
		return Account{}, c.refused(logservice.DefaultAccount, err)
	}
	return c.Account(caller.Own())
}

// AllAccounts is Account for routes on the logs at and below prefix in every
// account; an empty prefix means all logs.
func (c *Call) AllAccounts(prefix string) (Tree, error) {
	caller, err := c.authenticate()
	if err != nil {
		return Tree{}, c.refused("", err)
	}
	c.note(prefix)
	t, err := caller.AllAccounts(prefix)
	return t, c.refused("", err)
}

// Log parses a key and checks that the token covers its log.
func (a Account) Log(key string) (Log, error) {
	a.call.note(key)
	l, err := a.Account.Log(key)
	return l, a.call.refused(a.Name(), err)
}

// Tree parses a prefix and checks that the token covers every log at and below
// it.
func (a Account) Tree(prefix string) (Tree, error) {
	a.call.note(prefix)
	t, err := a.Account.Tree(prefix)
	return t, a.call.refused(a.Name(), err)
}

// Listing returns the part of the tree at and below prefix that the token
// covers; an empty prefix means the whole account.
func (a Account) Listing(prefix string) (Tree, error) {
	a.call.note(prefix)
	t, err := a.Account.Listing(prefix)
	return t, a.call.refused(a.Name(), err)
}

// note records a key for the log of requests.
func (c *Call) note(key string) {
	if key == "" {
		return
	}
	if c.keys == nil {
		c.keys = c.first[:0]
	}
	c.keys = append(c.keys, key)
}

// UseToken sets the token of a dialect that has it elsewhere, for requests
// without one in the usual headers.
func (c *Call) UseToken(token string) { c.token = token }

// authenticate verifies the token of the request, once.
func (c *Call) authenticate() (access.Caller, error) {
	if c.known {
		return c.caller, nil
	}
	h := c.Request.Header
	sent := access.Credentials{Peer: c.Request.RemoteAddr, Header: h[access.HeaderToken], Protocol: c.token, Authorization: h["Authorization"]}
	if c.api.queryTokens && c.reads() {
		sent.Query = c.Query.Get(access.HeaderToken)
	}
	caller, err := access.Identify(c.Request.Context(), c.api.auth, sent, c.needs)
	if err == nil {
		c.caller, c.known = caller, true
	}
	return caller, err
}

// grant returns what the request's token grants, or identifies the token that its
// ticket was made with.
func (c *Call) grant() auth.Grant {
	if c.ticket != nil {
		return *c.ticket
	}
	return c.caller.Grant()
}

// reads reports whether the request only reads logs of an account. An address is
// kept in histories and in the logs of proxies: what is in it must not be good for
// more, and never for all accounts.
func (c *Call) reads() bool {
	m := c.Request.Method
	return (m == http.MethodGet || m == http.MethodHead) && c.needs&auth.Global == 0
}

// refused returns the answer to a missing or insufficient token, in words that
// clients know; other errors are returned unchanged.
func (c *Call) refused(account string, err error) error {
	switch {
	case errors.Is(err, logservice.ErrUnauthorized):
		hint := "send a token in the header " + access.HeaderToken + ", or as Authorization: Bearer"
		if c.Request.Header["Authorization"] != nil {
			hint = "what Authorization has is no token of this server: send one in the header " + access.HeaderToken
		}
		return &statusError{status: http.StatusBadRequest, reason: "not_authenticated", msg: "no token in header", hint: hint, cause: err}
	case !errors.Is(err, logservice.ErrForbidden):
		return err
	case c.needs&auth.Global != 0:
		return &statusError{status: http.StatusBadRequest, reason: "not_authenticated",
			msg: "token in request not authorized for receiving tokens", hint: "this route needs the global token", cause: err}
	}
	hint := err
	if r := (*access.RefusedError)(nil); errors.As(err, &r) {
		account, hint = r.Account, r.Err
	}
	return &statusError{status: http.StatusForbidden, reason: "forbidden",
		msg: "operation not permitted for accountID: " + account, hint: hint.Error(), cause: err}
}
