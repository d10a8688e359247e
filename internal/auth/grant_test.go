package auth_test

import (
	"errors"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
)

func id(account, key string) logservice.ID {
	return logservice.ID{Account: account, Key: logservice.Key(key)}
}

func TestAGrantAllowsItsVerbsInItsAccountBelowItsPrefix(t *testing.T) {
	push := auth.Grant{Account: "A", Prefix: "p/1", Verbs: auth.Push | auth.Tail}
	account := auth.Grant{Account: "A", Verbs: auth.Admin}
	global := auth.Grant{AllAccounts: true, Verbs: auth.Global}
	operator := auth.Grant{AllAccounts: true, Verbs: auth.Admin}
	for _, c := range []struct {
		name  string
		grant auth.Grant
		needs auth.Verbs
		id    logservice.ID
		why   string // empty if allowed
	}{
		{"its prefix", push, auth.Push, id("A", "p/1"), ""},
		{"below its prefix", push, auth.Tail, id("A", "p/1/2/3"), ""},
		{"one of several verbs", push, auth.Read | auth.Tail, id("A", "p/1"), ""},
		{"a longer segment", push, auth.Push, id("A", "p/10"), "at and below p/1"},
		{"above its prefix", push, auth.Push, id("A", "p"), "at and below p/1"},
		{"another account", push, auth.Push, id("B", "p/1"), "another account"},
		{"another verb", push, auth.Delete, id("A", "p/1"), "does not allow to delete: it is for push,tail"},
		{"no verb", push, 0, id("A", "p/1"), "does not allow"},
		{"a public route", push, auth.Public, id("A", "p/1"), "does not allow"},
		{"every verb of an admin", account, auth.Delete, id("A", "x"), ""},
		{"an admin of another account", account, auth.Read, id("B", "x"), "another account"},
		{"an admin of one account, globally", account, auth.Global, id("A", "x"), "act for all accounts"},
		{"the global token, globally", global, auth.Global, id("B", "x"), ""},
		{"the global token, in an account", global, auth.Push | auth.Tail | auth.Read, id("B", "x"), "does not allow"},
		{"the operator, in an account", operator, auth.Write, id("B", "x"), ""},
		{"the operator, globally", operator, auth.Global, id("B", "x"), ""},
		{"the operator below a prefix, globally", auth.Grant{AllAccounts: true, Prefix: "p", Verbs: auth.Admin}, auth.Global, id("B", "p"), "act for all"},
		{"no grant", auth.Grant{}, auth.Push, id("A", "x"), "another account"},
		{"no grant, no account", auth.Grant{Verbs: auth.Admin}, auth.Push, id("", "x"), "another account"},
		{"authentication off", auth.Everything(), auth.Global, id("A", "x"), ""},
	} {
		err := c.grant.Allows(c.needs, c.id)
		switch {
		case c.why == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.why != "" && (!errors.Is(err, logservice.ErrForbidden) || !strings.Contains(err.Error(), c.why)):
			t.Errorf("%s: %v, want a refusal that says %q", c.name, err, c.why)
		}
	}
}

func TestAListingIsNarrowedToItsScope(t *testing.T) {
	g := auth.Grant{Account: "A", Prefix: "p/1", Verbs: auth.Tail}
	for asked, want := range map[logservice.Key]logservice.Key{"": "p/1", "p": "p/1", "p/1": "p/1", "p/1/2": "p/1/2"} {
		if got, err := g.Narrow(asked); err != nil || got != want {
			t.Errorf("below %q: %q, %v; want %q", asked, got, err, want)
		}
	}
	for _, asked := range []logservice.Key{"q", "p/2", "p/10"} {
		if got, err := g.Narrow(asked); !errors.Is(err, logservice.ErrForbidden) {
			t.Errorf("below %q: %q, %v; want it refused", asked, got, err)
		}
	}
}

func TestVerbsHaveNames(t *testing.T) {
	v, err := auth.ParseVerbs("tail, push")
	if err != nil || v != auth.Push|auth.Tail || v.String() != "push,tail" {
		t.Errorf("%v, %v", v, err)
	}
	for _, bad := range []string{"", ",", "push,fly", "global", "public", "Push"} {
		if v, err := auth.ParseVerbs(bad); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("%q: %v, %v; want ErrInvalid", bad, v, err)
		}
	}
}
