package auth

import (
	"time"

	logservice "github.com/harness/log-service"
)

// Grant is what a verified token allows. The zero value allows nothing.
type Grant struct {
	Account     string // owner of the logs; empty with AllAccounts
	AllAccounts bool
	Prefix      logservice.Key // limits to keys at and below it, see Key.Under; empty for all
	Verbs       Verbs
	Expires     time.Time // zero for never
	ID          string    // identifies the token in the list of revoked tokens
	From        string    // the ID of the token that it was exchanged for; or empty
	Identity    bool      // from an identity token; see Exchange
}

// Everything is the grant of every caller if authentication is off.
func Everything() Grant { return Grant{AllAccounts: true, Verbs: Admin} }

// Allows returns nil if the grant has one of the verbs of needs on the log id.
// Otherwise the error is logservice.ErrForbidden and says what the token is for.
// Allows does not check expiry; Verify has done so.
func (g Grant) Allows(needs Verbs, id logservice.ID) error {
	if err := g.AllowsAccount(needs, id.Account); err != nil {
		return err
	}
	if !id.Key.Under(g.Prefix) {
		return logservice.Errorf(logservice.ErrForbidden, "the token is for logs at and below %s", g.Prefix)
	}
	return nil
}

// AllowsAccount is like Allows, for a log in account that is not known yet. It
// must be followed by Allows or Narrow.
func (g Grant) AllowsAccount(needs Verbs, account string) error {
	switch {
	case !g.AllAccounts && (g.Account == "" || g.Account != account):
		return logservice.Errorf(logservice.ErrForbidden, "the token is for another account")
	case !g.has(needs):
		return logservice.Errorf(logservice.ErrForbidden, "the token does not allow to %s: it is for %s", needs.or(), g.Verbs)
	}
	return nil
}

// Narrow returns the part of the tree at and below prefix that the grant covers:
// the scope of a listing.
func (g Grant) Narrow(prefix logservice.Key) (logservice.Key, error) {
	switch {
	case prefix.Under(g.Prefix):
		return prefix, nil
	case g.Prefix.Under(prefix):
		return g.Prefix, nil
	}
	return "", logservice.Errorf(logservice.ErrForbidden, "the token is for logs at and below %s", g.Prefix)
}

// IsGlobal reports whether the grant includes the privileges of the global
// token.
func (g Grant) IsGlobal() bool { return g.AllAccounts && g.has(Global) }

func (g Grant) has(needs Verbs) bool {
	have := g.Verbs
	if have&Admin != 0 {
		have |= everyVerb
		if g.AllAccounts && g.Prefix == "" {
			have |= Global
		}
	}
	return have&^Public&needs != 0
}

// or joins the names of a set of which one is enough.
func (v Verbs) or() string {
	if v&Global != 0 {
		return "act for all accounts"
	}
	s := ""
	for i, name := range v.Names() {
		if i > 0 {
			s += " or "
		}
		s += name
	}
	return s
}
