package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/dchest/authcookie"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/server"
	"github.com/harness/log-service/internal/setting"
)

const (
	secret      = "a secret of the tests, long enough"
	globalToken = "the global token of the tests"
)

// issuer starts a real issuer of identity tokens and returns its URL and a
// function that signs tokens.
func issuer(t *testing.T) (url string, sign func(claims string) string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: public, KeyID: "k", Algorithm: oidc.EdDSA}}, Algorithms: []string{oidc.EdDSA}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.SetIssuer(h.URL)
	return h.URL, func(claims string) string {
		return oidctest.SignIDToken(private, "k", oidc.EdDSA, fmt.Sprintf(`{"iss":%q,"aud":"logs","exp":%d,%s}`, h.URL, time.Now().Add(time.Hour).Unix(), claims))
	}
}

// A CI job pushes with only the identity token that its system provides, into the
// part of the account that belongs to it.
func TestAJobPushesWithItsIdentity(t *testing.T) {
	url, sign := issuer(t)
	c := settings(t.TempDir())
	c.Auth.Secret = secret
	c.Auth.OIDC = auth.OIDC{
		Issuer: url, Audience: "logs", Claims: map[string]string{"repository_owner": "acme"},
		Account: "acme", Prefix: "github/{repository}", Verbs: auth.Push | auth.Tail,
	}
	srv := start(t, c)
	as := func(token string) *client.Client {
		t.Helper()
		c, err := client.New(srv.URL(), client.WithAccount("acme"), client.WithToken(token))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
	job := as(sign(`"repository_owner":"acme","repository":"acme/app"`))
	const key = "github/acme/app/17/build"
	if err := job.Open(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w := job.Writer(t.Context(), key)
	fmt.Fprintln(w, "hello")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := job.Close(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for l, err := range job.Tail(t.Context(), key) {
		if err != nil || l.Out != "hello\n" {
			t.Errorf("%+v, %v", l, err)
		}
	}
	// The token is valid for minutes, but the job runs for hours.
	identity := sign(`"repository_owner":"acme","repository":"acme/app"`)
	longer := call(t, http.MethodPost, srv.URL()+"/token?expires=6h", identity)
	if err := as(longer).Open(t.Context(), key); err != nil {
		t.Errorf("with the token %q that was exchanged: %v", longer, err)
	}
	i, err := auth.Inspect(longer)
	if left := time.Until(i.Grant.Expires); err != nil || left < 5*time.Hour || left > 6*time.Hour || i.Grant.Prefix != "github/acme/app" || i.Grant.Verbs != auth.Push|auth.Tail {
		t.Errorf("exchanged for %+v, %v", i, err)
	}
	if got := call(t, http.MethodPost, srv.URL()+"/token", longer); !strings.Contains(got, "only the identity token") {
		t.Errorf("the exchanged token is exchanged again: %s", got)
	}
	if got := call(t, http.MethodPost, srv.URL()+"/token?expires=25h", identity); !strings.Contains(got, "from 1s to 24h") {
		t.Errorf("a token for more than a day: %s", got)
	}
	if err := as(longer).Open(t.Context(), "github/acme/other/1/build"); !errors.Is(err, logservice.ErrForbidden) {
		t.Errorf("another repository's log, with the exchanged token: %v", err)
	}
	if err := job.Open(t.Context(), "github/acme/other/1/build"); !errors.Is(err, logservice.ErrForbidden) {
		t.Errorf("another repository's log: %v", err)
	}
	if err := as(sign(`"repository_owner":"evil","repository":"acme/app"`)).Open(t.Context(), key); !errors.Is(err, logservice.ErrForbidden) {
		t.Errorf("another owner's job: %v", err)
	}
	if err := as("").Open(t.Context(), key); !errors.Is(err, logservice.ErrUnauthorized) {
		t.Errorf("nobody: %v", err)
	}
	srv.ended(t)
}

func TestDisabledAuthenticationNeedsNoTokenAndIssuesNoValidOne(t *testing.T) {
	c := settings(t.TempDir())
	c.Auth.Secret, c.Auth.GlobalToken, c.DisableAuth = secret, globalToken, true
	srv := start(t, c)
	if err := newClient(t, srv.URL()).Open(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
	// Clients of the original Harness log service fetch a token in any case. It
	// must not be valid on a server that uses the secret.
	token := call(t, http.MethodGet, srv.URL()+"/token?accountID=A", "")
	if len(token) < 48 || strings.Contains(token, "error") {
		t.Errorf("%q is no token", token)
	}
	if _, _, err := authcookie.Parse(token, []byte(secret)); err == nil {
		t.Error("a server without authentication makes tokens with its secret")
	}
	srv.ended(t)
}

// Servers with the same secret accept each other's links.
func TestServersWithTheSameSecretAcceptEachOthersTickets(t *testing.T) {
	c := settings(t.TempDir())
	c.Auth.Secret = secret
	first := start(t, c)
	c = settings(t.TempDir())
	c.Auth.Secret = secret
	second := start(t, c)
	c = settings(t.TempDir())
	c.Auth.Secret = "another secret of the tests, long enough"
	stranger := start(t, c)
	token := authcookie.NewSinceNow("A", time.Hour, []byte(secret))
	ticket := call(t, http.MethodPost, first.URL()+"/stream/ticket?accountID=A&key=k", token)
	_, ticket, _ = strings.Cut(ticket, `"ticket":"`)
	ticket, _, _ = strings.Cut(ticket, `"`)
	for srv, want := range map[*running]string{first: "eof", second: "eof", stranger: "not permitted"} {
		defer srv.ended(t)
		if got := call(t, http.MethodGet, srv.URL()+"/stream?accountID=A&key=k&ticket="+ticket, ""); !strings.Contains(got, want) {
			t.Errorf("%q, want %s in it", got, want)
		}
	}
}

func call(t *testing.T, method, url, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Harness-Token", token)
	req.Close = true // leave no idle connection
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// lockedText is a log that is safe for concurrent use.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAWholeLifeOfAServerLogsNoSecret(t *testing.T) {
	url, sign := issuer(t)
	c := settings(t.TempDir())
	c.Auth = auth.Config{
		Secret: secret, OldSecrets: []setting.Secret{"an old secret of the tests"}, GlobalToken: globalToken, OldGlobalTokens: []setting.Secret{"an old global token of the tests"},
		OIDC: auth.OIDC{Issuer: url, Audience: "logs", Account: "A", Verbs: auth.Push},
	}
	var log lockedText
	srv, err := server.New(c, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()
	cookie := authcookie.NewSinceNow("A", time.Hour, []byte(secret))
	identity := sign(`"sub":"x"`)
	secrets := []string{secret, "an old secret", globalToken, "an old global token", cookie, identity}
	for _, token := range append(secrets, "", "nonsense-nonsense-nonsense") {
		for _, target := range []string{"/token?accountID=A&X-Harness-Token=" + strings.ReplaceAll(token, " ", "+"), "/stream/info?accountID=A", "/info/stream", "/blob?accountID=A&key=k&ticket=" + strings.ReplaceAll(token, " ", "+")} {
			_ = call(t, http.MethodGet, srv.URL()+target, token)
		}
	}
	fetched := call(t, http.MethodGet, srv.URL()+"/token?accountID=A", globalToken)
	link := call(t, http.MethodPost, srv.URL()+"/blob/link/download?accountID=A&key=k", fetched)
	_, signature, _ := strings.Cut(link, "signature=")
	signature, _, _ = strings.Cut(signature, `"`)
	_ = call(t, http.MethodGet, srv.URL()+"/link/download?accountID=A&key=k&expires=9999999999&signature="+signature, "")
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "/link/download") || len(signature) < 40 || len(fetched) < 40 {
		t.Fatalf("too little happened:\n%s", log.String())
	}
	for _, s := range append(secrets, fetched, signature, "nonsense-nonsense-nonsense") {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log holds %q", s)
		}
	}
}
