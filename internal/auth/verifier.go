package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/reload"
)

const (
	// maxToken limits the size of a token: identity tokens of large clusters
	// have some 4 KB, and headers are limited to 64 KB.
	maxToken = 16 << 10
	// usualToken is the length up to which verifying a token makes no copy
	// on the heap.
	usualToken = 1 << 10
	// remembered is the number of verified tokens that are cached, in about
	// 1 MB: every running build may have its own.
	remembered = 4096
	// rememberedFor limits the age of a cached token, so that a key withdrawn by
	// its issuer takes effect.
	rememberedFor = 5 * time.Minute
)

// Verifier verifies tokens. Its methods are safe for concurrent use. A nil
// Verifier is for a server without authentication: it grants everything to
// everybody.
type Verifier struct {
	secrets [][]byte // the first one signs
	global  [][sha256.Size]byte
	keys    *reload.Files[keySet]
	revoked *reload.Files[revokedSet]
	oidc    *identities // nil if no issuer is trusted
	known   *lru.Cache[[sha256.Size]byte, knownToken]
	live    live
	failed  *failures
}

// knownToken is a token that has been verified.
type knownToken struct {
	grant Grant
	until time.Time
	keys  *keySet // used for its verification
}

// New returns a Verifier. The error names a file that cannot be read or that holds
// no keys.
func New(c Config) (*Verifier, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	v := &Verifier{}
	for _, s := range both(c.Secret, c.OldSecrets) {
		v.secrets = append(v.secrets, []byte(s))
	}
	for _, t := range both(c.GlobalToken, c.OldGlobalTokens) {
		v.global = append(v.global, sha256.Sum256([]byte(t)))
	}
	var err error
	if v.keys, err = reload.New(c.Logger, v.readKeys, c.JWTKeys...); err != nil {
		return nil, fmt.Errorf("keys for tokens: %w", err)
	}
	var lists []string
	if c.RevokedTokens != "" {
		lists = append(lists, c.RevokedTokens)
	}
	if v.revoked, err = reload.New(c.Logger, revokedReader(c.Logger), lists...); err != nil {
		return nil, err
	}
	v.live = live{revoked: v.revoked, open: map[*liveUse]struct{}{}}
	v.failed = newFailures()
	if c.OIDC.Issuer != "" {
		if v.oidc, err = newIdentities(c.OIDC, c.Logger); err != nil {
			return nil, err
		}
	}
	v.known, err = lru.New[[sha256.Size]byte, knownToken](remembered)
	return v, err
}

func (v *Verifier) readKeys(paths []string) (*keySet, error) {
	var public []crypto.PublicKey
	for _, path := range paths {
		keys, err := ReadPublicKeys(path)
		if err != nil {
			return nil, err
		}
		public = append(public, keys...)
	}
	return newKeySet(v.secrets, public)
}

// Verify returns the grant of a token. Its errors are those of package logservice:
// ErrUnauthorized if token is empty; ErrForbidden if it is not valid, with a
// message for its owner; ErrUnavailable if its issuer cannot be reached. No error
// contains any part of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (Grant, error) {
	return v.VerifyFrom(ctx, netip.Addr{}, token)
}

// VerifyFrom is like Verify, and limits how many invalid tokens a peer may have
// verified: more are answered with ErrUnavailable. See Peer.
func (v *Verifier) VerifyFrom(ctx context.Context, peer netip.Addr, token string) (Grant, error) {
	switch {
	case v == nil:
		return Everything(), nil
	case token == "":
		return Grant{}, logservice.Errorf(logservice.ErrUnauthorized, "no token")
	case len(token) > maxToken:
		return Grant{}, refuse("a token of %d bytes is too long: at most %d", len(token), maxToken)
	}
	now := time.Now()
	var buf [usualToken]byte
	sum := sha256.Sum256(append(buf[:0], token...))
	keys := v.keys.Get(now)
	known, ok := v.known.Get(sum)
	if !ok || known.keys != keys || !now.Before(known.until) {
		if err := v.failed.check(peer, now); err != nil {
			return Grant{}, err
		}
		g, err := v.verify(ctx, token, sum, keys, now)
		if errors.Is(err, logservice.ErrForbidden) {
			v.failed.count(peer, now)
		}
		if err != nil {
			return Grant{}, err
		}
		known = remember(g, keys, now)
		v.known.Add(sum, known)
	}
	if known.grant.in(v.revoked.Get(now)) {
		return Grant{}, ErrRevoked
	}
	return known.grant, nil
}

// Ours reports whether a token has the form of those that this server accepts. It
// is for places that also carry other credentials, and verifies nothing.
func (v *Verifier) Ours(token string) bool {
	if token == "" || len(token) > maxToken {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	if v.known.Contains(sum) || v.isGlobal(sum) {
		return true
	}
	if v.oidc != nil && isJWT(token) && v.oidc.made(token) {
		return true
	}
	i, err := Inspect(token)
	return err == nil && i.Kind != KindIdentity
}

func remember(g Grant, keys *keySet, now time.Time) knownToken {
	until := now.Add(rememberedFor)
	if !g.Expires.IsZero() && g.Expires.Before(until) {
		until = g.Expires
	}
	return knownToken{g, until, keys}
}

// verify verifies a token that is not cached.
func (v *Verifier) verify(ctx context.Context, token string, sum [sha256.Size]byte, keys *keySet, now time.Time) (Grant, error) {
	if v.isGlobal(sum) {
		return Grant{AllAccounts: true, Verbs: Global, ID: "global"}, nil
	}
	switch {
	case !isJWT(token):
	case v.oidc != nil && v.oidc.made(token):
		return v.oidc.verify(ctx, token)
	default:
		return parseJWT(token, keys)
	}
	g, ok := parseAccountToken(token, v.secrets)
	switch {
	case !ok:
		return Grant{}, refuse("the token was not made for this server")
	case !now.Before(g.Expires):
		return Grant{}, errExpired
	}
	return g, nil
}

// Prepare fetches the keys of the issuer of identity tokens, so that a failure is
// logged at startup. It is not final: tokens trigger further fetches.
func (v *Verifier) Prepare(ctx context.Context) {
	if v != nil && v.oidc != nil {
		_ = v.oidc.issuer.ask(ctx) // ask logs the error
	}
}

// isGlobal compares with every global token in constant time.
func (v *Verifier) isGlobal(sum [sha256.Size]byte) bool {
	found := 0
	for i := range v.global {
		found |= subtle.ConstantTimeCompare(v.global[i][:], sum[:])
	}
	return found == 1
}

// AccountToken makes a token for everything in account, valid for
// AccountTokenTTL. If authentication is off, the token is a placeholder that is
// never checked. The error is logservice.ErrUnsupported if there is no secret to
// sign with.
func (v *Verifier) AccountToken(account string) (string, error) {
	var secret []byte
	switch {
	case v == nil:
		secret = []byte(rand.Text())
	case len(v.secrets) == 0:
		return "", logservice.Errorf(logservice.ErrUnsupported, "this server issues no tokens: it has no secret")
	default:
		secret = v.secrets[0]
	}
	return newAccountToken(account, time.Now().Add(AccountTokenTTL), secret), nil
}
