package auth

import (
	"time"

	logservice "github.com/harness/log-service"
)

// Grant is what a verified token allows. The zero value allows nothing.
type Grant struct {
	Account     string // whose logs; empty with AllAccounts
	AllAccounts bool
	Prefix      logservice.Key // only keys at and below it, by whole segments; empty is all
	Verbs       Verbs
	Expires     time.Time // zero: never
	ID          string    // names the token in the list of revoked ones
	Identity    bool      // of an identity token; see Exchange
}

// Everything is the grant of everybody where authentication is off.
func Everything() Grant { return Grant{AllAccounts: true, Verbs: Admin} }

// Allows reports whether the grant has one of the verbs of needs, for the log
// of id, as nil or as an error that is logservice.ErrForbidden and says what
// the token is for. It does not look at the time: Verify has.
func (g Grant) Allows(needs Verbs, id logservice.ID) error {
	if err := g.AllowsAccount(needs, id.Account); err != nil {
		return err
	}
	if !id.Key.Under(g.Prefix) {
		return logservice.Errorf(logservice.ErrForbidden, "the token is for logs at and below %s", g.Prefix)
	}
	return nil
}

// AllowsAccount is Allows for something in account, whichever log that will
// be. It is to be followed by Allows or Narrow.
func (g Grant) AllowsAccount(needs Verbs, account string) error {
	switch {
	case !g.AllAccounts && (g.Account == "" || g.Account != account):
		return logservice.Errorf(logservice.ErrForbidden, "the token is for another account")
	case !g.has(needs):
		return logservice.Errorf(logservice.ErrForbidden, "the token does not allow to %s: it is for %s", needs.or(), g.Verbs)
	}
	return nil
}

// Narrow returns the part of the tree at and below prefix that the grant is
// for: what a listing may show.
func (g Grant) Narrow(prefix logservice.Key) (logservice.Key, error) {
	switch {
	case prefix.Under(g.Prefix):
		return prefix, nil
	case g.Prefix.Under(prefix):
		return g.Prefix, nil
	}
	return "", logservice.Errorf(logservice.ErrForbidden, "the token is for logs at and below %s", g.Prefix)
}

// IsGlobal reports whether the grant is good for what only the global token
// may do.
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

// or is the words of a set of which one is enough.
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
