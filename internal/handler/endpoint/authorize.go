package endpoint

import (
	"errors"
	"net/http"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
)

// HeaderToken carries the token of a request. Authorization: Bearer does, too.
const HeaderToken = "X-Harness-Token"

// Account is an account that the caller of a request may act in. Only
// Call.Account makes one, so that no dialect forgets to ask.
type Account struct {
	name string
	call *Call
}

// Log is a log that the caller may do to what the route is for.
type Log struct{ id logservice.ID }

// Tree is every log of an account, or of all, at and below a prefix, which the
// caller may do to what the route is for. The zero value has none.
type Tree struct {
	account string
	all     bool
	prefix  logservice.Key
}

func (t Tree) id() logservice.ID { return logservice.ID{Account: t.account, Key: t.prefix} }

// Account parses the name of an account, verifies the token of the request,
// and checks that it is good for what the route needs, in this account.
func (c *Call) Account(name string) (Account, error) {
	name, err := logservice.ParseAccount(name)
	if err != nil {
		return Account{}, err
	}
	c.account = name
	if err := c.authenticate(); err != nil {
		return Account{}, c.refused(name, err)
	}
	if err := c.grant.AllowsAccount(c.needs, name); err != nil {
		return Account{}, c.refused(name, err)
	}
	return Account{name, c}, nil
}

// AllAccounts is Account for a route about the logs at and below prefix, all
// of them where it is empty, in every account at once.
func (c *Call) AllAccounts(prefix string) (Tree, error) {
	key, err := c.prefix(prefix)
	if err != nil {
		return Tree{}, err
	}
	err = c.authenticate()
	if err == nil && !c.grant.IsGlobal() {
		err = logservice.Errorf(logservice.ErrForbidden, "the token is not for all accounts")
	}
	if err != nil {
		return Tree{}, c.refused("", err)
	}
	return Tree{all: true, prefix: key}, nil
}

// Own is the account that the token is for, for a dialect whose requests name
// none: logservice.DefaultAccount where it is for all of them.
func (c *Call) Own() (Account, error) {
	if err := c.authenticate(); err != nil {
		return Account{}, c.refused(logservice.DefaultAccount, err)
	}
	if c.grant.AllAccounts {
		return c.Account(logservice.DefaultAccount)
	}
	return c.Account(c.grant.Account)
}

// Log parses a key and checks that the token is good for its log.
func (a Account) Log(key string) (Log, error) {
	parsed, err := logservice.ParseKey(key)
	if err != nil {
		return Log{}, err
	}
	a.call.keys = append(a.call.keys, key)
	id := logservice.ID{Account: a.name, Key: parsed}
	if err := a.call.grant.Allows(a.call.needs, id); err != nil {
		return Log{}, a.call.refused(a.name, err)
	}
	return Log{id}, nil
}

// Tree parses a prefix and checks that the token is good for every log at and
// below it.
func (a Account) Tree(prefix string) (Tree, error) {
	l, err := a.Log(prefix)
	return Tree{account: a.name, prefix: l.id.Key}, err
}

// Listing is the part of the tree at and below prefix that the token is for:
// of the whole account where prefix is empty.
func (a Account) Listing(prefix string) (Tree, error) {
	key, err := a.call.prefix(prefix)
	if err != nil {
		return Tree{}, err
	}
	if key, err = a.call.grant.Narrow(key); err != nil {
		return Tree{}, a.call.refused(a.name, err)
	}
	return Tree{account: a.name, prefix: key}, nil
}

// prefix parses a prefix that may be empty.
func (c *Call) prefix(s string) (logservice.Key, error) {
	if s == "" {
		return "", nil
	}
	c.keys = append(c.keys, s)
	return logservice.ParseKey(s)
}

// also checks that the token has one more of verbs, for a parameter that does
// more than its route is for.
func (c *Call) also(verbs auth.Verbs, l Log) error {
	if err := c.grant.Allows(verbs, l.id); err != nil {
		return c.refused(l.id.Account, err)
	}
	return nil
}

// UseToken says where a dialect carries its token, for requests without one
// in the usual headers.
func (c *Call) UseToken(token string) { c.token = token }

// authenticate verifies the token of the request, once.
func (c *Call) authenticate() error {
	if c.known {
		return nil
	}
	token, err := c.credential()
	if err != nil {
		return err
	}
	if c.grant, err = c.api.auth.Verify(c.Request.Context(), token); err != nil {
		return err
	}
	c.known = true
	return nil
}

// credential is the token of the request. Two that differ are refused: who
// looks at one of them must not be told another one's answer.
func (c *Call) credential() (string, error) {
	token := c.token
	for _, t := range c.Request.Header[HeaderToken] {
		if token != "" && t != token && t != "" {
			return "", errTwoTokens
		}
		token = t
	}
	for _, field := range c.Request.Header["Authorization"] {
		scheme, t, _ := strings.Cut(field, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		if t = strings.TrimSpace(t); token != "" && t != token {
			return "", errTwoTokens
		}
		token = t
	}
	return token, nil
}

var errTwoTokens = logservice.Invalidf("two tokens in one request: send one")

// refused is the answer to a token that is missing or not good for what is
// asked, in the words that clients know.
func (c *Call) refused(account string, err error) error {
	switch {
	case errors.Is(err, logservice.ErrUnauthorized):
		return &statusError{status: http.StatusBadRequest, code: "not_authenticated", msg: "no token in header",
			hint: "send a token in the header " + HeaderToken + ", or as Authorization: Bearer", cause: err}
	case !errors.Is(err, logservice.ErrForbidden):
		return err
	case c.needs&auth.Global != 0:
		return &statusError{status: http.StatusBadRequest, code: "not_authenticated",
			msg: "token in request not authorized for receiving tokens", hint: "this route needs the global token", cause: err}
	}
	return &statusError{status: http.StatusForbidden, code: "forbidden",
		msg: "operation not permitted for accountID: " + account, hint: err.Error(), cause: err}
}
