// Package access decides who may do what, for HTTP and gRPC alike: which token
// a request carries, which accounts and logs it is good for, and what asks for
// more than its route or call does.
//
// A Log, a Tree or an Account is made here alone, by a check. Whoever has one
// may do to it what the request is for.
package access

import (
	"context"
	"fmt"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
)

// HeaderToken carries the token of a request. Authorization: Bearer does, too.
const HeaderToken = "X-Harness-Token"

// Token is the token of a request, of those that its own headers and its fields
// of Authorization give; empty where there is none. Two that differ are
// refused: who looks at one of them must not be told another one's answer.
func Token(own, authorization []string) (token string, err error) {
	use := func(t string) {
		if token != "" && t != "" && t != token {
			err = logservice.Invalidf("two tokens in one request: send one")
		}
		if t != "" {
			token = t
		}
	}
	for _, t := range own {
		use(t)
	}
	for _, field := range authorization {
		if scheme, t, _ := strings.Cut(field, " "); strings.EqualFold(scheme, "Bearer") {
			use(strings.TrimSpace(t))
		}
	}
	return token, err
}

// Caller is who makes a request for which it needs one of some verbs. The zero
// value may do nothing.
type Caller struct {
	grant auth.Grant
	needs auth.Verbs
}

// Identify verifies a token.
func Identify(ctx context.Context, v *auth.Verifier, token string, needs auth.Verbs) (Caller, error) {
	grant, err := v.Verify(ctx, token)
	return Caller{grant, needs}, err
}

// Grant is what the caller's token is for.
func (c Caller) Grant() auth.Grant { return c.grant }

// Account is an account that the caller may act in.
type Account struct {
	caller Caller
	name   string
}

// Name is never empty but for the zero Account.
func (a Account) Name() string { return a.name }

// Account parses the name of an account and checks that the caller may act in
// it.
func (c Caller) Account(name string) (Account, error) {
	name, err := logservice.ParseAccount(name)
	if err != nil {
		return Account{}, err
	}
	if err := c.grant.AllowsAccount(c.needs, name); err != nil {
		return Account{}, &RefusedError{name, err}
	}
	return Account{c, name}, nil
}

// Own is the name of the account that the caller's token is for, for requests
// that name none: logservice.DefaultAccount where it is for all of them.
func (c Caller) Own() string {
	if c.grant.AllAccounts {
		return logservice.DefaultAccount
	}
	return c.grant.Account
}

// AllAccounts is the tree of the logs at and below prefix, all of them where it
// is empty, in every account at once.
func (c Caller) AllAccounts(prefix string) (Tree, error) {
	key, err := parsePrefix(prefix)
	if err != nil {
		return Tree{}, err
	}
	if !c.grant.IsGlobal() {
		return Tree{}, &RefusedError{"", logservice.Errorf(logservice.ErrForbidden, "the token is not for all accounts")}
	}
	return Tree{all: true, prefix: key}, nil
}

// Log parses a key and checks that the caller may act on its log.
func (a Account) Log(key string) (Log, error) {
	parsed, err := logservice.ParseKey(key)
	if err != nil {
		return Log{}, err
	}
	id := logservice.ID{Account: a.name, Key: parsed}
	if err := a.caller.also(a.caller.needs, id); err != nil {
		return Log{}, err
	}
	return Log{id}, nil
}

// Tree parses a prefix and checks that the caller may act on every log at and
// below it.
func (a Account) Tree(prefix string) (Tree, error) {
	l, err := a.Log(prefix)
	if err != nil {
		return Tree{}, err
	}
	return Tree{account: a.name, prefix: l.id.Key}, nil
}

// Listing is the part of the tree at and below prefix, of the whole account
// where that is empty, that the caller's token is for.
func (a Account) Listing(prefix string) (Tree, error) {
	key, err := parsePrefix(prefix)
	if err != nil {
		return Tree{}, err
	}
	if key, err = a.caller.grant.Narrow(key); err != nil {
		return Tree{}, &RefusedError{a.name, err}
	}
	return Tree{account: a.name, prefix: key}, nil
}

// parsePrefix parses a prefix that may be empty.
func parsePrefix(s string) (logservice.Key, error) {
	if s == "" {
		return "", nil
	}
	return logservice.ParseKey(s)
}

// also checks that the caller has one of verbs for a log.
func (c Caller) also(verbs auth.Verbs, id logservice.ID) error {
	if err := c.grant.Allows(verbs, id); err != nil {
		return &RefusedError{id.Account, err}
	}
	return nil
}

// RefusedError says that a caller may not do what it asks in an account; the
// account is empty where it asks for all of them.
type RefusedError struct {
	Account string
	Err     error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("operation not permitted for account %s: %v", e.Account, e.Err)
}
func (e *RefusedError) Unwrap() error { return e.Err }
