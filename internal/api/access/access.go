// Package access is the authorization layer of the HTTP and gRPC APIs: it finds
// the token of a request, determines the accounts and logs that the token covers,
// and checks operations that need more than their route or call does.
//
// Only these checks create a Log, a Tree or an Account, so a function that
// receives one may act on it within the request's purpose.
package access

import (
	"context"
	"fmt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
)

// Caller is the sender of a request that needs one of a set of verbs. The zero
// value may do nothing.
type Caller struct {
	grant auth.Grant
	needs auth.Verbs
}

// Identify finds the token among the credentials of a request and verifies it.
// Without authentication (v is nil) they are not looked at.
func Identify(ctx context.Context, v *auth.Verifier, sent Credentials, needs auth.Verbs) (Caller, error) {
	if v == nil {
		return Caller{auth.Everything(), needs}, nil
	}
	token, err := sent.token(v.Ours)
	if err != nil {
		return Caller{}, err
	}
	grant, err := v.VerifyFrom(ctx, auth.Peer(sent.Peer), token)
	return Caller{grant, needs}, err
}

// Grant returns the grant of the caller's token.
func (c Caller) Grant() auth.Grant { return c.grant }

// Account is an account that the caller may act in.
type Account struct {
	caller Caller
	name   string
}

// Name is empty only for the zero Account.
func (a Account) Name() string { return a.name }

// Account parses an account name and checks that the caller may act in that
// account.
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

// Own returns the account of the caller's token, for requests that name none. If
// the token covers all accounts, it is logservice.DefaultAccount.
func (c Caller) Own() string {
	if c.grant.AllAccounts {
		return logservice.DefaultAccount
	}
	return c.grant.Account
}

// AllAccounts returns the tree of logs at and below prefix in every account. An
// empty prefix means all logs.
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

// Listing returns the part of the tree at and below prefix that the caller's token
// covers. An empty prefix means the whole account.
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

// also checks that the caller has one of verbs on a log.
func (c Caller) also(verbs auth.Verbs, id logservice.ID) error {
	if err := c.grant.Allows(verbs, id); err != nil {
		return &RefusedError{id.Account, err}
	}
	return nil
}

// RefusedError reports that a caller may not perform an operation in an account.
// Account is empty if the operation is on all accounts.
type RefusedError struct {
	Account string
	Err     error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("operation not permitted for account %s: %v", e.Account, e.Err)
}
func (e *RefusedError) Unwrap() error { return e.Err }
