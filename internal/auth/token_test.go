package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dchest/authcookie"
	"github.com/golang-jwt/jwt/v5"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/setting"
)

const (
	secret    = "a secret of the tests, long enough"
	oldSecret = "an old secret of the tests, long enough"
	global    = "a global token of the tests"
)

func newVerifier(t testing.TB, c auth.Config) *auth.Verifier {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	v, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refused checks that a token is rejected with an error that mentions why.
func refused(t *testing.T, v *auth.Verifier, what, token, why string) {
	t.Helper()
	for range 2 { // the second result must not come from the cache
		g, err := v.Verify(t.Context(), token)
		if !errors.Is(err, logservice.ErrForbidden) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %+v, %v; want a refusal that says %q", what, g, err, why)
		}
		if err != nil && len(token) > 8 && strings.Contains(err.Error(), token[len(token)/2:]) {
			t.Errorf("%s: the error %q shows the token", what, err)
		}
	}
}

func accepted(t *testing.T, v *auth.Verifier, what, token string) auth.Grant {
	t.Helper()
	g, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	again, err := v.Verify(t.Context(), token)
	if err != nil || again != g {
		t.Fatalf("%s, the second time: %+v, %v; want %+v", what, again, err, g)
	}
	return g
}

func TestAccountTokensHaveTheOriginalFormat(t *testing.T) {
	v := newVerifier(t, auth.Config{Secret: secret, OldSecrets: []setting.Secret{oldSecret}})
	for _, account := range []string{"A", "px7xd_BFRCi-pfWPYXVjvw", "ключ", "with space", strings.Repeat("a", 255)} {
		ours, err := v.AccountToken(account)
		if err != nil {
			t.Fatal(err)
		}
		if got := authcookie.Login(ours, []byte(secret)); got != account {
			t.Errorf("the reference reads our token of %q as %q", account, got)
		}
		_, expires, err := authcookie.Parse(ours, []byte(secret))
		if left := time.Until(expires); err != nil || left < 48*time.Hour-time.Minute || left > 48*time.Hour {
			t.Errorf("our token lives for %v, %v; want 48h", left, err)
		}
		for what, token := range map[string]string{
			"the reference's":              authcookie.NewSinceNow(account, time.Hour, []byte(secret)),
			"the reference's, not padded":  authcookie.NewSinceNowNoPadding(account, time.Hour, []byte(secret)),
			"of an old secret":             authcookie.NewSinceNow(account, time.Hour, []byte(oldSecret)),
			"of the year 2106, the latest": authcookie.New(account, time.Unix(1<<32-1, 0), []byte(secret)),
			"ours":                         ours,
		} {
			g := accepted(t, v, what, token)
			if g.Account != account || g.Verbs != auth.Admin || g.Prefix != "" || g.AllAccounts || !strings.HasPrefix(g.ID, "sha256:") {
				t.Errorf("%s: %+v", what, g)
			}
		}
	}
	good := authcookie.NewSinceNow("A", time.Hour, []byte(secret))
	refused(t, v, "an expired token", authcookie.NewSinceNow("A", -time.Second, []byte(secret)), "expired")
	refused(t, v, "a forged token", authcookie.NewSinceNow("A", time.Hour, []byte("another secret, long enough")), "not made for this server")
	refused(t, v, "a token of an impossible account", authcookie.NewSinceNow("A/B", time.Hour, []byte(secret)), "not made for")
	refused(t, v, "nonsense", "nonsense", "not made for")
	refused(t, v, "a token that is too long", strings.Repeat("A", 20<<10), "too long")
	for i := range len(good) - 1 { // the last character is padding
		changed := []byte(good)
		if changed[i] = 'A'; good[i] == 'A' {
			changed[i] = 'B'
		}
		if g, err := v.Verify(t.Context(), string(changed)); err == nil {
			t.Fatalf("with character %d changed: %+v", i, g)
		}
	}
}

func TestNoTokenIsNotABadToken(t *testing.T) {
	if _, err := newVerifier(t, auth.Config{Secret: secret}).Verify(t.Context(), ""); !errors.Is(err, logservice.ErrUnauthorized) {
		t.Errorf("%v, want ErrUnauthorized", err)
	}
}

func TestTheGlobalTokenIsForAllAccountsAndForNoLog(t *testing.T) {
	v := newVerifier(t, auth.Config{Secret: secret, GlobalToken: global, OldGlobalTokens: []setting.Secret{"an old global token"}})
	for _, token := range []string{global, "an old global token"} {
		g := accepted(t, v, "the global token", token)
		if !g.IsGlobal() || g.Allows(auth.Tail, id("A", "k")) == nil {
			t.Errorf("%+v", g)
		}
	}
	refused(t, v, "its begin", global[:len(global)-1], "not made for")
	refused(t, v, "more than it", global+"x", "not made for")
}

func TestWithoutAuthenticationEverybodyMayDoEverything(t *testing.T) {
	var off *auth.Verifier
	g, err := off.Verify(t.Context(), "")
	if err != nil || g != auth.Everything() {
		t.Errorf("%+v, %v", g, err)
	}
	token, err := off.AccountToken("A")
	if err != nil || token == "" {
		t.Errorf("%q, %v", token, err)
	}
	again, _ := off.AccountToken("A")
	if again == token {
		t.Error("tokens of a server without authentication are made with one secret")
	}
}

func TestAVerifierWithoutTrustRefusesEverything(t *testing.T) {
	v := newVerifier(t, auth.Config{})
	refused(t, v, "a token of no secret", authcookie.NewSinceNow("A", time.Hour, nil), "not made for")
	if _, err := v.AccountToken("A"); !errors.Is(err, logservice.ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
}

// signer returns a signer by key, and the file of its public half.
func signer(t *testing.T, key any) (*auth.Signer, string) {
	t.Helper()
	s, err := auth.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s, publicFile(t, key)
}

func publicFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.(crypto.Signer).Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func newKeys(t *testing.T) (ed ed25519.PrivateKey, rs *rsa.PrivateKey, ec *ecdsa.PrivateKey) {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if rs, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return ed, rs, ec
}

func scoped(ttl time.Duration) auth.Grant {
	return auth.Grant{Account: "A", Prefix: "p/1", Verbs: auth.Push | auth.Tail, Expires: time.Now().Add(ttl).Truncate(time.Second)}
}

func sign(t *testing.T, s *auth.Signer, g auth.Grant) (string, auth.Grant) {
	t.Helper()
	token, g, err := s.Sign(g, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token, g
}

func TestTokensCarryTheirScope(t *testing.T) {
	ed, rs, ec := newKeys(t)
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	var files []string
	signers := map[string]*auth.Signer{}
	for name, key := range map[string]any{"EdDSA": ed, "RS256": rs, "ES256": ec, "EdDSA, another key": other} {
		s, file := signer(t, key)
		signers[name] = s
		files = append(files, file)
	}
	for name, key := range map[string]string{"HS256": secret, "HS256, an old secret": oldSecret} {
		s, err := auth.NewSigner([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		signers[name] = s
	}
	v := newVerifier(t, auth.Config{Secret: secret, OldSecrets: []setting.Secret{oldSecret}, JWTKeys: files})
	none := newVerifier(t, auth.Config{Secret: "another secret, long enough"})
	for name, s := range signers {
		token, want := sign(t, s, scoped(time.Hour))
		if got := accepted(t, v, name, token); !got.Expires.Equal(want.Expires) || got.ID == "" || got.Account != "A" || got.Prefix != "p/1" || got.Verbs != want.Verbs {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		refused(t, none, name+", at a server without its key", token, "no key of it fits")
		refused(t, v, name+", cut", token[:len(token)-3], "")
		expired, _ := sign(t, s, scoped(-time.Minute))
		refused(t, v, name+", expired", expired, "expired")
		all, _ := sign(t, s, auth.Grant{AllAccounts: true, Verbs: auth.Admin, Expires: time.Now().Add(time.Hour)})
		if g := accepted(t, v, name+", all accounts", all); !g.IsGlobal() {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestTokensThatBreakARuleAreRefused(t *testing.T) {
	ed, rs, _ := newKeys(t)
	_, edFile := signer(t, ed)
	_, rsFile := signer(t, rs)
	v := newVerifier(t, auth.Config{Secret: secret, JWTKeys: []string{edFile, rsFile}})
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"aud": auth.Audience, "exp": time.Now().Add(time.Hour).Unix(), "account": "A", "verbs": []string{"push"}}
	}
	with := func(name string, value any) jwt.MapClaims {
		c := good()
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	make := func(m jwt.SigningMethod, key any, c jwt.MapClaims) string {
		token, err := jwt.NewWithClaims(m, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	accepted(t, v, "a good one", make(jwt.SigningMethodHS256, []byte(secret), good()))
	unnamed := accepted(t, v, "a good one without a name", make(jwt.SigningMethodEdDSA, ed, good()))
	if !strings.HasPrefix(unnamed.ID, "sha256:") {
		t.Errorf("%+v has no name", unnamed)
	}
	for what, c := range map[string]jwt.MapClaims{
		"no expiry": with("exp", nil), "another audience": with("aud", "somebody else"), "no audience": with("aud", nil),
		"no account": with("account", nil), "an impossible account": with("account", "../B"),
		"one account and all": with("all_accounts", true), "an impossible prefix": with("prefix", "../x"),
		"a prefix that ends in a slash": with("prefix", "p/"), "no verbs": with("verbs", nil), "empty verbs": with("verbs", []string{}),
		"an unknown verb": with("verbs", []string{"fly"}), "the global verb": with("verbs", []string{"global"}),
		"verbs of another type": with("verbs", 7), "an account of another type": with("account", []string{"A"}),
		"not valid yet": with("nbf", time.Now().Add(time.Hour).Unix()), "an expiry of another type": with("exp", "soon"),
	} {
		refused(t, v, what, make(jwt.SigningMethodHS256, []byte(secret), c), "")
	}
	for what, token := range map[string]string{
		"no signature":                        make(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good()),
		"HS512":                               make(jwt.SigningMethodHS512, []byte(secret), good()),
		"the public key taken for a secret":   make(jwt.SigningMethodHS256, pemOf(t, rsFile), good()),
		"RS384":                               make(jwt.SigningMethodRS384, rs, good()),
		"the empty secret":                    make(jwt.SigningMethodHS256, []byte{}, good()),
		"another secret under the right name": withKid(t, jwt.SigningMethodHS256, []byte("another secret, long enough"), good(), secret),
		"dots alone":                          "..",
		"nonsense with dots":                  "a.b.c",
	} {
		refused(t, v, what, token, "")
	}
}

func pemOf(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withKid signs with key under the key ID of the secret named.
func withKid(t *testing.T, m jwt.SigningMethod, key any, c jwt.MapClaims, named string) string {
	t.Helper()
	s, err := auth.NewSigner([]byte(named))
	if err != nil {
		t.Fatal(err)
	}
	honest, _ := sign(t, s, scoped(time.Hour))
	parsed, _, err := jwt.NewParser().ParseUnverified(honest, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(m, c)
	token.Header["kid"] = parsed.Header["kid"]
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestACachedTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, auth.Config{Secret: secret})
		cookie := authcookie.NewSinceNow("A", time.Minute, []byte(secret))
		accepted(t, v, "in its time", cookie)
		time.Sleep(time.Minute + time.Second)
		refused(t, v, "past its time", cookie, "expired")

		s, err := auth.NewSigner([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		token, _ := sign(t, s, scoped(time.Minute))
		accepted(t, v, "in its time", token)
		time.Sleep(2 * time.Minute)
		refused(t, v, "past its time", token, "expired")
	})
}
