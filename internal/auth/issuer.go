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
	// issuerTimeout bounds one look at the issuer. Requests that need it wait
	// that long at most, within the 10 s that clients give a call.
	issuerTimeout = 5 * time.Second
	// issuerPause is the least time between two looks: tokens with made-up
	// key names must not make this server flood the issuer.
	issuerPause = 10 * time.Second
	// issuerFresh is how long keys count without another look: so long may an
	// issuer wait until a key that it took back is good for nothing.
	issuerFresh = time.Hour
	// maxIssuerAnswer bounds what an issuer may answer.
	maxIssuerAnswer = 1 << 20
)

// issuerMethods are the algorithms of identity tokens: all those with a public
// key that issuers use.
var issuerMethods = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// issuer holds the keys of a trusted issuer of identity tokens, as OpenID
// Connect Discovery 1.0 finds them. It asks when a token needs it, in the
// call of that token's owner: an issuer that is down when the server starts
// keeps nobody but its own tokens out, and only for as long.
type issuer struct {
	url    string
	client *http.Client
	log    *slog.Logger
	pause  time.Duration // issuerPause
	fresh  time.Duration // issuerFresh

	keys   atomic.Pointer[issuerKeys] // nil: not asked yet
	asking sync.Mutex                 // held by the one who asks; nobody waits for it
	next   time.Time                  // of the next look; guarded by asking
	failed error                      // of the last look; guarded by asking
}

type issuerKeys struct {
	set     []jose.JSONWebKey
	fetched time.Time
}

// named returns the keys of one name; of any where that is empty.
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
		t.DisableKeepAlives = true // it is asked once an hour
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

// short cuts answers that are too long.
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

// named returns the keys of the issuer of one name, asking it where there are
// none or where they are old. ErrUnavailable: it cannot be asked now.
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
		found = nil // taken back
	}
	switch {
	case len(found) > 0:
		return found, nil
	case err != nil:
		return nil, err
	}
	return nil, refuse("the identity token was signed with a key that %s does not publish", i.url)
}

// ask fetches the keys, unless somebody else does or has done just now.
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
	// The caller may go away; what is learnt is for all.
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

// fetch looks up where the keys are, and gets them.
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

// parseKeys reads a JSON Web Key Set (RFC 7517). Keys of kinds that nobody
// here knows are left out, as section 5 asks for.
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

// signature is the oidc.KeySet of one verification, which keeps the error
// that the library makes a text of.
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
