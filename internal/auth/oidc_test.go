package auth

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/golang-jwt/jwt/v5"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/setting"
)

// testIssuer is a real issuer: it publishes its keys over HTTP and signs tokens.
type testIssuer struct {
	t    *testing.T
	url  string
	http *httptest.Server

	mu     sync.Mutex // guards the fields below
	server oidctest.Server
	asked  int  // requests for its keys
	down   bool // responds with 500
	keys   map[string]crypto.Signer
}

func startIssuer(t *testing.T) *testIssuer {
	t.Helper()
	i := &testIssuer{t: t, keys: map[string]crypto.Signer{}}
	i.http = httptest.NewServer(i)
	t.Cleanup(i.http.Close)
	i.url = i.http.URL
	i.server.SetIssuer(i.url)
	i.server.Algorithms = []string{oidc.RS256, oidc.EdDSA}
	return i
}

func (i *testIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path == "/keys" {
		i.asked++
	}
	if i.down {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	i.server.ServeHTTP(w, r)
}

func (i *testIssuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *testIssuer) timesAsked() (n int) {
	i.set(func() { n = i.asked })
	return n
}

// publish adds a key for the algorithm alg.
func (i *testIssuer) publish(kid, alg string) {
	i.t.Helper()
	var key crypto.Signer
	var err error
	if alg == oidc.EdDSA {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	i.set(func() {
		i.keys[kid] = key
		i.server.PublicKeys = append(i.server.PublicKeys, oidctest.PublicKey{PublicKey: key.Public(), KeyID: kid, Algorithm: alg})
	})
}

// withdrawAllBut removes every key but one.
func (i *testIssuer) withdrawAllBut(kid string) {
	i.set(func() {
		kept := i.server.PublicKeys[:0:0]
		for _, k := range i.server.PublicKeys {
			if k.KeyID == kid {
				kept = append(kept, k)
			}
		}
		i.server.PublicKeys = kept
	})
}

type claim map[string]any

// token signs the claims of a typical job, overridden by with; a nil value removes
// a claim.
func (i *testIssuer) token(kid, alg string, with claim) string {
	i.t.Helper()
	c := claim{
		"iss": i.url, "aud": "logs.example.com", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"sub": "repo:acme/app:ref:refs/heads/main", "repository_owner": "acme", "repository": "acme/app", "run_id": "17", "actor_id": 12345678901234567,
		"kubernetes.io": claim{"namespace": "ci", "serviceaccount": claim{"name": "runner"}},
	}
	maps.Copy(c, with)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(c)
	if err != nil {
		i.t.Fatal(err)
	}
	var key crypto.Signer
	i.set(func() { key = i.keys[kid] })
	return oidctest.SignIDToken(key, kid, alg, string(text))
}

// tokens returns a generator of distinct tokens.
func (i *testIssuer) tokens(kid string) func(n int) string {
	return func(n int) string { return i.token(kid, oidc.RS256, claim{"run_id": n}) }
}

func trusting(t *testing.T, i *testIssuer, change func(*OIDC)) *Verifier {
	t.Helper()
	c := OIDC{
		Issuer: i.url, Audience: "logs.example.com", Claims: map[string]string{"repository_owner": "acme"},
		Account: "acme", Prefix: "github/{repository}", Verbs: Push | Tail,
	}
	if change != nil {
		change(&c)
	}
	v, err := New(Config{OIDC: c, Secret: "a secret of the tests, long enough", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	v.oidc.issuer.pause = 50 * time.Millisecond
	return v
}

func wantRefused(t *testing.T, v *Verifier, what, token, why string) {
	t.Helper()
	if g, err := v.Verify(t.Context(), token); !errors.Is(err, logservice.ErrForbidden) || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %+v, %v; want a refusal that says %q", what, g, err, why)
	}
}

func TestIdentityTokensBecomeScopes(t *testing.T) {
	i := startIssuer(t)
	i.publish("rs", oidc.RS256)
	i.publish("ed", oidc.EdDSA)
	for _, c := range []struct {
		account, prefix string
		want            Grant
	}{
		{"acme", "github/{repository}", Grant{Account: "acme", Prefix: "github/acme/app"}},
		{"{repository_owner}", "{run_id}/x-{actor_id}", Grant{Account: "acme", Prefix: "17/x-12345678901234567"}},
		{"{kubernetes.io/namespace}", "{kubernetes.io/serviceaccount/name}", Grant{Account: "ci", Prefix: "runner"}},
		{"acme", "", Grant{Account: "acme"}},
	} {
		v := trusting(t, i, func(o *OIDC) { o.Account, o.Prefix = c.account, c.prefix })
		for kid, alg := range map[string]string{"rs": oidc.RS256, "ed": oidc.EdDSA} {
			for range 2 {
				g, err := v.Verify(t.Context(), i.token(kid, alg, nil))
				if err != nil || g.Account != c.want.Account || g.Prefix != c.want.Prefix || g.Verbs != Push|Tail || g.AllAccounts ||
					!strings.HasPrefix(g.ID, "sha256:") || time.Until(g.Expires) > time.Hour {
					t.Errorf("%s and %s by %s: %+v, %v; want %+v", c.account, c.prefix, alg, g, err, c.want)
				}
			}
		}
	}
	if g, err := trusting(t, i, nil).Verify(t.Context(), i.token("rs", oidc.RS256, claim{"jti": "its-name"})); err != nil || g.ID != "its-name" {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestIdentityTokensThatAreNotForThisServerAreRefused(t *testing.T) {
	i := startIssuer(t)
	i.publish("rs", oidc.RS256)
	other := startIssuer(t)
	other.publish("rs", oidc.RS256)
	v := trusting(t, i, nil)
	for what, c := range map[string]struct {
		with claim
		why  string
	}{
		"another audience":                 {claim{"aud": "sts.amazonaws.com"}, "for the audience logs.example.com"},
		"no audience":                      {claim{"aud": nil}, "for the audience"},
		"expired":                          {claim{"exp": time.Now().Add(-time.Minute).Unix()}, "expired"},
		"no expiry":                        {claim{"exp": nil}, "expired"},
		"another owner":                    {claim{"repository_owner": "evil"}, "repository_owner is another"},
		"no owner":                         {claim{"repository_owner": nil}, "repository_owner is another"},
		"an owner of another type":         {claim{"repository_owner": []string{"acme"}}, "repository_owner is another"},
		"no repository":                    {claim{"repository": nil}, "no claim repository"},
		"an empty repository":              {claim{"repository": ""}, "no claim repository"},
		"a repository that climbs":         {claim{"repository": "../../x"}, "no account and prefix that are allowed"},
		"a repository that ends in /":      {claim{"repository": "acme/"}, "no account and prefix that are allowed"},
		"a repository with a control code": {claim{"repository": "a\x00b"}, "no account and prefix that are allowed"},
	} {
		wantRefused(t, v, what, i.token("rs", oidc.RS256, c.with), c.why)
	}
	wantRefused(t, v, "another issuer", other.token("rs", oidc.RS256, nil), "no key of it fits")
	wantRefused(t, v, "another issuer in its name", other.token("rs", oidc.RS256, claim{"iss": i.url}), "signature of the identity token is wrong")
	good := i.token("rs", oidc.RS256, nil)
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Error(err)
	}
	wantRefused(t, v, "cut", good[:len(good)-4], "wrong")
	for what, m := range map[string]struct {
		method jwt.SigningMethod
		key    any
	}{
		"no signature":              {jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType},
		"our own secret":            {jwt.SigningMethodHS256, []byte("a secret of the tests, long enough")},
		"the public key, as secret": {jwt.SigningMethodHS256, []byte("rs")},
	} {
		token := jwt.NewWithClaims(m.method, jwt.MapClaims{"iss": i.url, "aud": "logs.example.com", "exp": time.Now().Add(time.Hour).Unix(),
			"repository_owner": "acme", "repository": "acme/app"})
		token.Header["kid"] = "rs"
		text, err := token.SignedString(m.key)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, v, what, text, "not valid here")
	}
}

func TestTwoIdentitiesNeverShareAScope(t *testing.T) {
	i := startIssuer(t)
	i.publish("rs", oidc.RS256)
	v := trusting(t, i, func(o *OIDC) { o.Prefix = "{repository}/{ref}" })
	wantRefused(t, v, "a slash that is not in the last claim", i.token("rs", oidc.RS256, claim{"repository": "a/b", "ref": "c"}), "repository of the identity token holds a /")
	if g, err := v.Verify(t.Context(), i.token("rs", oidc.RS256, claim{"repository": "a", "ref": "b/c"})); err != nil || g.Prefix != "a/b/c" {
		t.Errorf("%+v, %v", g, err)
	}
	for _, bad := range []string{"{a}{b}", "{a}-{b}", "x/{a}{b}", "{", "}", "{}", "a{", "{a{b}}", "/x", "x/", "../{a}", "x//y", strings.Repeat("x", 2000)} {
		o := OIDC{Issuer: i.url, Audience: "a", Account: "A", Prefix: bad, Verbs: Push}
		if err := o.Check(); !names(err, "PREFIX") {
			t.Errorf("the prefix %q is taken", bad)
		}
	}
	for _, bad := range []string{"a/b", "{a}/{b}", "..", "", "{a}{b}"} {
		o := OIDC{Issuer: i.url, Audience: "a", Account: bad, Verbs: Push}
		if err := o.Check(); !names(err, "ACCOUNT") {
			t.Errorf("the account %q is taken", bad)
		}
	}
}

func TestAnIssuerThatAnybodyCanUseNeedsAClaim(t *testing.T) {
	o := OIDC{Issuer: "https://token.actions.githubusercontent.com", Audience: "a", Account: "A", Verbs: Push}
	if err := o.Check(); !names(err, "CLAIMS") {
		t.Error(err)
	}
	o.Claims = map[string]string{"repository_owner": "acme"}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "issuer", "http://issuer.example.com", "ftp://x", "https://u:p@x", "https://x?y", "://"} {
		o.Issuer = bad
		if err := o.Check(); !names(err, "ISSUER") {
			t.Errorf("issuer %q: %v", bad, err)
		}
	}
}

func wantUnavailable(t *testing.T, v *Verifier, what, token string) {
	t.Helper()
	g, err := v.Verify(t.Context(), token)
	var u *logservice.UnavailableError
	if !errors.As(err, &u) || u.RetryAfter <= 0 {
		t.Errorf("%s: %+v, %v; want that it may be good later", what, g, err)
	}
}

// await waits until a token is accepted, or fails with want. Each attempt uses a
// new token, because verified tokens are cached.
func await(t *testing.T, v *Verifier, what string, token func(n int) string, want error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var err error
	for n := range 1000 {
		<-tick.C
		if _, err = v.Verify(t.Context(), token(n)); want == nil && err == nil || want != nil && errors.Is(err, want) {
			return
		}
	}
	t.Fatalf("never: %s (%v)", what, err)
}

func TestAnIssuerMayBeDownAtTheStart(t *testing.T) {
	i := startIssuer(t)
	i.publish("rs", oidc.RS256)
	i.set(func() { i.down = true })
	var log bytes.Buffer
	v := trusting(t, i, nil)
	v.oidc.issuer.log = slog.New(slog.NewTextHandler(&log, nil))
	v.Prepare(t.Context())
	if !strings.Contains(log.String(), "cannot fetch the keys") {
		t.Errorf("the log says nothing of it: %q", log.String())
	}
	token := i.token("rs", oidc.RS256, nil)
	wantUnavailable(t, v, "while it is down", token)
	account, err := v.AccountToken("A")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), account); err != nil {
		t.Errorf("another kind of token, while it is down: %v", err)
	}
	i.set(func() { i.down = false })
	await(t, v, "it is up again", i.tokens("rs"), nil)
	i.set(func() { i.down = true })
	if _, err := v.Verify(t.Context(), i.token("rs", oidc.RS256, claim{"run_id": "another"})); err != nil {
		t.Errorf("down again, and its keys are known: %v", err)
	}
}

func TestUnknownKeyIDsDoNotFloodTheIssuer(t *testing.T) {
	i := startIssuer(t)
	i.publish("rs", oidc.RS256)
	v := trusting(t, i, nil)
	v.oidc.issuer.pause = time.Hour
	token := i.token("rs", oidc.RS256, nil)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.keys["made up"] = i.keys["rs"] })
	for n := range 50 {
		wantUnavailable(t, v, "a key of a made-up name", i.token("made up", oidc.RS256, claim{"run_id": n}))
		if _, err := v.Verify(t.Context(), i.token("rs", oidc.RS256, claim{"run_id": n})); err != nil {
			t.Fatalf("a good token meanwhile: %v", err)
		}
	}
	if n := i.timesAsked(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

func TestTheIssuerMayChangeItsKeys(t *testing.T) {
	i := startIssuer(t)
	i.publish("old", oidc.RS256)
	v := trusting(t, i, nil)
	if _, err := v.Verify(t.Context(), i.token("old", oidc.RS256, nil)); err != nil {
		t.Fatal(err)
	}
	i.publish("new", oidc.RS256)
	await(t, v, "the new key counts", i.tokens("new"), nil)
	if _, err := v.Verify(t.Context(), i.token("old", oidc.RS256, claim{"run_id": "other"})); err != nil {
		t.Errorf("the old key beside the new one: %v", err)
	}
	i.withdrawAllBut("new")
	v.oidc.issuer.fresh = 0 // as if an hour had passed
	await(t, v, "the old key counts no more", i.tokens("old"), logservice.ErrForbidden)
}

func TestResponsesOfTheIssuerAreLimited(t *testing.T) {
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		line := bytes.Repeat([]byte(" "), 64<<10)
		for range 1 << 10 {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}))
	defer huge.Close()
	i := newIssuer(huge.URL, slog.New(slog.DiscardHandler))
	if _, err := i.fetch(t.Context()); err == nil {
		t.Error("64 MiB of nothing are an answer")
	}
	elsewhere := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	defer elsewhere.Close()
	i = newIssuer(elsewhere.URL, slog.New(slog.DiscardHandler))
	if _, err := i.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "without https") {
		t.Errorf("a redirect to plain HTTP: %v", err)
	}
}

// names reports whether err is about the setting OIDC_ and name.
func names(err error, name string) bool {
	var bad *setting.Error
	return errors.As(err, &bad) && bad.Name == setting.Prefix+"OIDC_"+name
}
