package access

import (
	"errors"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/logs"
)

func TestTokenOfARequest(t *testing.T) {
	ours := func(token string) bool { return !strings.HasPrefix(token, "session") }
	for _, tc := range []struct {
		sent Credentials
		want string
		two  bool
	}{
		{},
		{sent: Credentials{Header: []string{"a"}}, want: "a"},
		{sent: Credentials{Authorization: []string{"Bearer a"}}, want: "a"},
		{sent: Credentials{Authorization: []string{"bearer  a "}}, want: "a"},
		{sent: Credentials{Authorization: []string{"Basic a", "Bearera", ""}}},
		{sent: Credentials{Header: []string{""}, Authorization: []string{"Bearer a"}}, want: "a"},
		{sent: Credentials{Header: []string{"a", "a"}, Authorization: []string{"Bearer a"}}, want: "a"},
		{sent: Credentials{Header: []string{"a"}, Authorization: []string{"Basic b"}}, want: "a"},
		{sent: Credentials{Header: []string{"a"}, Authorization: []string{"Bearer session"}}, want: "a"},
		{sent: Credentials{Header: []string{"a"}, Authorization: []string{"Bearer b", "Bearer c"}}, want: "a"},
		{sent: Credentials{Header: []string{"session"}, Authorization: []string{"Bearer b"}}, want: "session"},
		{sent: Credentials{Authorization: []string{"Bearer session"}}},
		{sent: Credentials{Authorization: []string{"Bearer session", "Bearer b", "Bearer session-2"}}, want: "b"},
		{sent: Credentials{Authorization: []string{"Bearer session"}, Query: "q"}, want: "q"},
		{sent: Credentials{Authorization: []string{"Bearer b"}, Query: "q"}, want: "b"},
		{sent: Credentials{Header: []string{"a"}, Query: "q", Protocol: "p"}, want: "a"},
		{sent: Credentials{Protocol: "p", Authorization: []string{"Bearer b"}, Query: "q"}, want: "p"},
		{sent: Credentials{Header: []string{"a", "b"}}, two: true},
		{sent: Credentials{Header: []string{"a", "b", "b"}}, two: true},
		{sent: Credentials{Authorization: []string{"Bearer a", "Bearer b"}}, two: true},
	} {
		got, err := tc.sent.token(ours)
		if errors.Is(err, logservice.ErrInvalid) != tc.two || !tc.two && got != tc.want {
			t.Errorf("%+v: %q, %v", tc.sent, got, err)
		}
	}
}

func TestWithoutAuthenticationCredentialsAreNotLookedAt(t *testing.T) {
	c, err := Identify(t.Context(), nil, Credentials{Header: []string{"a", "b"}, Authorization: []string{"Bearer c", "Bearer d"}}, auth.Push)
	if err != nil || !c.grant.AllAccounts {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestStrongerOperationsNeedStrongerVerbs(t *testing.T) {
	id := logservice.ID{Account: "A", Key: "p/1"}
	pusher := func(more auth.Verbs) Caller {
		return Caller{auth.Grant{Account: "A", Prefix: "p", Verbs: auth.Push | more}, auth.Push}
	}
	for _, tc := range []struct {
		name string
		ask  func(Caller) error
		more auth.Verbs // zero for none
	}{
		{"open", func(c Caller) error { _, err := c.Opening(Log{id}, 0, false); return err }, 0},
		{"truncate", func(c Caller) error { _, err := c.Opening(Log{id}, 0, true); return err }, auth.Delete},
		{"close", func(c Caller) error { return c.Closing(logs.ArchiveIfMissing, id) }, 0},
		{"close, always", func(c Caller) error { return c.Closing(logs.ArchiveAlways, id) }, auth.Write},
		{"close, never", func(c Caller) error { return c.Closing(logs.ArchiveNever, id) }, auth.Delete},
		{"close, unknown", func(c Caller) error { return c.Closing(99, id) }, auth.Delete},
	} {
		if err := tc.ask(pusher(0)); errors.Is(err, logservice.ErrForbidden) != (tc.more != 0) {
			t.Errorf("%s by who may push: %v", tc.name, err)
		}
		if err := tc.ask(pusher(tc.more)); err != nil {
			t.Errorf("%s by who may: %v", tc.name, err)
		}
		other := Caller{auth.Grant{Account: "A", Prefix: "q", Verbs: auth.Admin}, auth.Push}
		if err := tc.ask(other); errors.Is(err, logservice.ErrForbidden) != (tc.more != 0) {
			t.Errorf("%s of a log beside the token's: %v", tc.name, err)
		}
	}
	if err := pusher(auth.Write).Closing(logs.ArchiveAlways, id, logservice.ID{Account: "A", Key: "q/1"}); !errors.Is(err, logservice.ErrForbidden) {
		t.Errorf("several logs, one of them beside the token's: %v", err)
	}
}

func TestTheTTLOfAStreamIsLimited(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		0: logservice.DefaultTTL, time.Second: time.Second, logservice.MaxTTL: logservice.MaxTTL, 1<<63 - 1: logservice.MaxTTL,
	} {
		if o, err := (Caller{}).Opening(Log{}, asked, false); err != nil || o.TTL != want {
			t.Errorf("%v: %v, %v; want %v", asked, o.TTL, err, want)
		}
	}
}

func TestNobodyGetsALogWithoutACheck(t *testing.T) {
	var nobody Caller
	if _, err := nobody.Account("A"); !errors.Is(err, logservice.ErrForbidden) {
		t.Errorf("an account for nobody: %v", err)
	}
	if _, err := nobody.AllAccounts(""); !errors.Is(err, logservice.ErrForbidden) {
		t.Errorf("all accounts for nobody: %v", err)
	}
	if _, err := (Tree{}).Filter(); err == nil {
		t.Error("the zero tree selects logs")
	}
	c := Caller{auth.Grant{Account: "A", Prefix: "p/1", Verbs: auth.Tail}, auth.Tail}
	a, err := c.Account("A")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{"p/1": nil, "p/1/x": nil, "p/10": logservice.ErrForbidden, "p": logservice.ErrForbidden, "p/1/..": logservice.ErrInvalid, "": logservice.ErrInvalid} {
		l, err := a.Log(key)
		if !errors.Is(err, want) || (err != nil) != (l == Log{}) {
			t.Errorf("%q: %v, %v; want %v", key, l, err, want)
		}
	}
	for prefix, want := range map[string]logservice.Key{"": "p/1", "p": "p/1", "p/1/x": "p/1/x"} {
		tree, err := a.Listing(prefix)
		if f, ferr := tree.Filter(); err != nil || ferr != nil || f.Prefix != want || f.Account != "A" {
			t.Errorf("%q: %+v, %v, %v; want %s", prefix, f, err, ferr, want)
		}
	}
	if _, err := a.Listing("q"); !errors.Is(err, logservice.ErrForbidden) {
		t.Errorf("a listing beside the token's logs: %v", err)
	}
}
