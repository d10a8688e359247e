package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	logservice "github.com/harness/log-service"
)

const (
	// issuerTimeout limits one fetch of the keys. Requests that need them wait
	// no longer than this, within the 10 s that clients allow for a call.
	issuerTimeout = 5 * time.Second
	// issuerPause is the minimum time between fetches: tokens with made-up key
	// IDs must not make this server flood the issuer.
	issuerPause = 10 * time.Second
	// issuerFresh is how long keys are trusted without another fetch, and so how
	// long a withdrawn key may still be accepted.
	issuerFresh = time.Hour
	// maxIssuerAnswer limits a response of the issuer.
	maxIssuerAnswer = 1 << 20
)

// issuerMethods are the accepted algorithms of identity tokens: all public-key
// ones that issuers use.
var issuerMethods = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// issuer holds the keys of a trusted issuer of identity tokens, found through
// OpenID Connect Discovery 1.0. Keys are fetched on demand, in the call that
// presents a token. An issuer that is down when the server starts therefore
// affects only its own tokens, and only until it is up again.
type issuer struct {
	url    string
	client *http.Client
	log    *slog.Logger
	pause  time.Duration // issuerPause
	fresh  time.Duration // issuerFresh

	keys   atomic.Pointer[issuerKeys] // nil before the first fetch
	asking sync.Mutex                 // held by the goroutine that fetches; nobody waits for it
	next   time.Time                  // when the next fetch is allowed; guarded by asking
	failed error                      // error of the last fetch; guarded by asking
}

type issuerKeys struct {
	set     []jose.JSONWebKey
	fetched time.Time
}

// named returns the keys with ID kid, or all keys if kid is empty.
func (k *issuerKeys) named(kid string) []jose.JSONWebKey {
	if k == nil || kid == "" {
		return k.all()
	}
	var found []jose.JSONWebKey
	for _, key := range k.set {
		if key.KeyID == kid {
			found = append(found, key)
		}
	}
	return found
}

func (k *issuerKeys) all() []jose.JSONWebKey {
	if k == nil {
		return nil
	}
	return k.set
}

func newIssuer(address string, log *slog.Logger) *issuer {
	transport := http.DefaultTransport
	if t, ok := transport.(*http.Transport); ok {
		t = t.Clone()
		t.DisableKeepAlives = true // one request per hour
		transport = t
	}
	client := &http.Client{Transport: &short{transport}, Timeout: issuerTimeout, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || !safe(r.URL) {
			return errors.New("redirected too often, or to an address without https")
		}
		return nil
	}}
	return &issuer{url: address, client: client, log: log, pause: issuerPause, fresh: issuerFresh}
}

// short rejects responses that are too long.
type short struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s *short) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxIssuerAnswer), resp.Body}
	}
	return resp, err
}

// named returns the issuer's keys with ID kid, fetching them if there are none or
// if they are old. The error is logservice.ErrUnavailable if the issuer cannot be
// reached.
func (i *issuer) named(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	known := i.keys.Load()
	found := known.named(kid)
	if len(found) > 0 && time.Since(known.fetched) < i.fresh {
		return found, nil
	}
	err := i.ask(ctx)
	if now := i.keys.Load().named(kid); len(now) > 0 {
		found = now
	} else if err == nil {
		found = nil // may have been withdrawn
	}
	switch {
	case len(found) > 0:
		return found, nil
	case err != nil:
		return nil, err
	}
	return nil, refuse("the identity token was signed with a key that %s does not publish", i.url)
}

// ask fetches the keys, unless another call is doing so or has just done so.
func (i *issuer) ask(ctx context.Context) error {
	if !i.asking.TryLock() {
		return &logservice.UnavailableError{Cause: errors.New("the token issuer is being asked for its keys"), RetryAfter: time.Second}
	}
	defer i.asking.Unlock()
	if wait := time.Until(i.next); wait > 0 {
		cause := i.failed
		if cause == nil {
			cause = errors.New("the token issuer was asked for its keys just now")
		}
		return &logservice.UnavailableError{Cause: cause, RetryAfter: wait}
	}
	// The caller may disconnect, but the result is for everyone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issuerTimeout)
	defer cancel()
	set, err := i.fetch(ctx)
	i.next = time.Now().Add(i.pause)
	i.failed = nil
	if err != nil {
		i.failed = fmt.Errorf("token issuer %s: %w", i.url, err)
		i.log.Warn("cannot fetch the keys of the token issuer", "error", i.failed)
		return &logservice.UnavailableError{Cause: i.failed, RetryAfter: i.pause}
	}
	i.keys.Store(&issuerKeys{set, time.Now()})
	return nil
}

// fetch discovers the address of the keys and downloads them.
func (i *issuer) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.url)
	if err != nil {
		return nil, err
	}
	var where struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&where); err != nil {
		return nil, err
	}
	if u, err := url.Parse(where.Keys); err != nil || !safe(u) {
		return nil, errors.New("its keys are not at an https URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.Keys, nil)
	if err != nil {
		return nil, err
	}
	resp, err := i.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys: %s", resp.Status)
	}
	return parseKeys(body)
}

// parseKeys parses a JSON Web Key Set (RFC 7517). Keys of unsupported types are
// skipped, as section 5 requires.
func parseKeys(body []byte) (keys []jose.JSONWebKey, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no public keys are published")
	}
	return keys, nil
}

// signature is the oidc.KeySet of one verification. It keeps the error, of which
// the library passes on only the text.
type signature struct {
	from *issuer
	err  error
}

// VerifySignature implements oidc.KeySet.
func (s *signature) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	payload, s.err = s.verify(ctx, token)
	return payload, s.err
}

func (s *signature) verify(ctx context.Context, token string) ([]byte, error) {
	algorithms := make([]jose.SignatureAlgorithm, len(issuerMethods))
	for i, m := range issuerMethods {
		algorithms[i] = jose.SignatureAlgorithm(m)
	}
	jws, err := jose.ParseSigned(token, algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, refuse("the identity token is malformed")
	}
	header := jws.Signatures[0].Header
	keys, err := s.from.named(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm || !slices.Contains([]string{"", "sig"}, key.Use) {
			continue
		}
		if payload, err := jws.Verify(&key); err == nil {
			return payload, nil
		}
	}
	return nil, refuse("the signature of the identity token is wrong")
}
