package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	logservice "github.com/harness/log-service"
)

const (
	// maxToken bounds a token: identity tokens of large clusters have some
	// 4 KB, and headers end at 64.
	maxToken = 16 << 10
	// usualToken is the length of a token up to which none of its bytes are
	// allocated anew.
	usualToken = 1 << 10
	// remembered is how many verified tokens are remembered, some 1 MB: each
	// running build may have one of its own.
	remembered = 4096
	// rememberedFor bounds how long: an issuer that takes a key back is heard.
	rememberedFor = 5 * time.Minute
)

// Config of a Verifier. Without any source of trust it refuses all.
type Config struct {
	// Secrets verify account tokens and JSON web tokens by HS256. The first
	// one also makes account tokens, the others are on their way out.
	Secrets []string
	// GlobalTokens may do what Global is. Several are good during a change.
	GlobalTokens []string
	// KeyFiles are PEM files with public keys or certificates that verify JSON
	// web tokens by EdDSA, RS256 or ES256. They are read again on change.
	KeyFiles []string
	// RevokedFile lists tokens that count no more, one id a line. It is read
	// again on change, and need not exist.
	RevokedFile string
	// OIDC trusts an issuer of identity tokens; nil: none.
	OIDC   *OIDC
	Logger *slog.Logger // nil: slog.Default
}

// Verifier tells what tokens are good for. Its methods may be called from any
// number of goroutines. A nil Verifier is for a server without
// authentication: it grants everything to everybody.
type Verifier struct {
	secrets [][]byte
	global  [][sha256.Size]byte
	keys    *reloaded[keySet]
	revoked *reloaded[revokedSet]
	oidc    *identities // nil: none are trusted
	known   *lru.Cache[[sha256.Size]byte, knownToken]
}

// knownToken is a token that was verified before.
type knownToken struct {
	grant Grant
	until time.Time
	keys  *keySet // that it was verified with
}

// New returns a Verifier. The error names a file that cannot be read or holds
// no keys.
func New(c Config) (*Verifier, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	v := &Verifier{}
	for _, s := range c.Secrets {
		v.secrets = append(v.secrets, []byte(s))
	}
	for _, t := range c.GlobalTokens {
		v.global = append(v.global, sha256.Sum256([]byte(t)))
	}
	var err error
	if v.keys, err = reload(c.Logger, v.readKeys, c.KeyFiles...); err != nil {
		return nil, fmt.Errorf("keys for tokens: %w", err)
	}
	var lists []string
	if c.RevokedFile != "" {
		lists = append(lists, c.RevokedFile)
	}
	if v.revoked, err = reload(c.Logger, readRevoked, lists...); err != nil {
		return nil, err
	}
	if c.OIDC != nil {
		if v.oidc, err = newIdentities(*c.OIDC, c.Logger); err != nil {
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

// Verify returns what a token is good for. Its errors are of package
// logservice: ErrUnauthorized where there is no token; ErrForbidden for one
// that is not good, with words for its owner; ErrUnavailable where its issuer
// cannot be asked now. No error holds a part of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (Grant, error) {
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
	keys := v.keys.get(now)
	known, ok := v.known.Get(sum)
	if !ok || known.keys != keys || !now.Before(known.until) {
		g, err := v.verify(ctx, token, sum, keys, now)
		if err != nil {
			return Grant{}, err
		}
		known = remember(g, keys, now)
		v.known.Add(sum, known)
	}
	if v.revoked.get(now).has(known.grant.ID) {
		return Grant{}, refuse("the token has been revoked")
	}
	return known.grant, nil
}

func remember(g Grant, keys *keySet, now time.Time) knownToken {
	until := now.Add(rememberedFor)
	if !g.Expires.IsZero() && g.Expires.Before(until) {
		until = g.Expires
	}
	return knownToken{g, until, keys}
}

// verify looks at a token for the first time.
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

// Prepare asks the issuer of identity tokens for its keys, so that the log
// says at the start if it cannot be asked. Tokens ask again.
func (v *Verifier) Prepare(ctx context.Context) {
	if v != nil && v.oidc != nil {
		_ = v.oidc.issuer.ask(ctx) // logged there
	}
}

// isGlobal compares with every global token, in constant time.
func (v *Verifier) isGlobal(sum [sha256.Size]byte) bool {
	found := 0
	for i := range v.global {
		found |= subtle.ConstantTimeCompare(v.global[i][:], sum[:])
	}
	return found == 1
}

// AccountToken makes a token for everything in account that lives for
// AccountTokenTTL. Where authentication is off it is one that nobody looks at.
// ErrUnsupported: there is no secret to make it with.
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
