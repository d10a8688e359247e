package httpapi_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/dchest/authcookie"

	"github.com/harness/log-service/internal/auth"
)

const (
	testSecret  = "a secret of the tests, long enough"
	otherSecret = "another secret of the tests, long enough"
	globalToken = "the global token of the tests"
)

func newVerifier(t testing.TB) *auth.Verifier {
	t.Helper()
	v, err := auth.New(auth.Config{
		Secret: testSecret, GlobalToken: globalToken, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// tokenFor makes a token of a scope with secret.
func tokenFor(t testing.TB, secret string, g auth.Grant) string {
	t.Helper()
	s, err := auth.NewSigner([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if g.Expires.IsZero() {
		g.Expires = time.Now().Add(time.Hour)
	}
	token, _, err := s.Sign(g, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// scriptTokens are the tokens that auth.http uses.
func scriptTokens(t *testing.T) (*auth.Verifier, map[string]string) {
	return newVerifier(t), map[string]string{
		"global":   globalToken,
		"accounta": authcookie.NewSinceNow("A", time.Hour, []byte(testSecret)),
		"accountb": authcookie.NewSinceNow("B", time.Hour, []byte(testSecret)),
		"expired":  authcookie.NewSinceNow("A", -time.Hour, []byte(testSecret)),
		"forged":   authcookie.NewSinceNow("A", time.Hour, []byte(otherSecret)),
		"pusher":   tokenFor(t, testSecret, auth.Grant{Account: "A", Prefix: "p/1", Verbs: auth.Push | auth.Tail}),
		"reader":   tokenFor(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Read | auth.Tail}),
		"operator": tokenFor(t, testSecret, auth.Grant{AllAccounts: true, Verbs: auth.Admin}),
	}
}
