package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	logservice "github.com/harness/log-service"
)

// Audience is the required audience of JSON web tokens of this service; tokens
// without it were made for something else.
const Audience = "log-service"

// leeway is the clock difference allowed between the server and a token's issuer.
const leeway = 30 * time.Second

// claims are the registered claims of RFC 7519 and those of this service.
type claims struct {
	jwt.RegisteredClaims
	Account     string   `json:"account,omitempty"`
	AllAccounts bool     `json:"all_accounts,omitempty"`
	Prefix      string   `json:"prefix,omitempty"`
	Verbs       []string `json:"verbs"`
	From        string   `json:"from,omitempty"` // see Grant
}

// grant checks the claims that the library does not check.
func (c *claims) grant() (g Grant, err error) {
	switch {
	case c.AllAccounts == (c.Account != ""):
		return g, logservice.Invalidf("a token is for one account or for all: it has account %q and all_accounts %v", c.Account, c.AllAccounts)
	case c.ExpiresAt == nil:
		return g, logservice.Invalidf("a token must expire")
	}
	if c.Account != "" {
		if _, err = logservice.ParseAccount(c.Account); err != nil {
			return g, err
		}
	}
	if c.Prefix != "" {
		if _, err = logservice.ParseKey(c.Prefix); err != nil {
			return g, err
		}
	}
	g = Grant{Account: c.Account, AllAccounts: c.AllAccounts, Prefix: logservice.Key(c.Prefix), Expires: c.ExpiresAt.Time, ID: c.ID, From: c.From}
	g.Verbs, err = verbsOf(c.Verbs)
	return g, err
}

// methods are the accepted signature algorithms.
var methods = []string{"HS256", "EdDSA", "RS256", "ES256"}

// parseJWT verifies a JSON web token of this service.
func parseJWT(s string, keys *keySet) (Grant, error) {
	var c claims
	token, err := jwt.ParseWithClaims(s, &c, keys.find,
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithAudience(Audience),
		jwt.WithLeeway(leeway), jwt.WithStrictDecoding())
	if err != nil {
		return Grant{}, refusal(err)
	}
	g, err := c.grant()
	if err != nil {
		return Grant{}, refuse("%v", err)
	}
	if g.ID == "" {
		g.ID = unnamed(token.Raw)
	}
	return g, nil
}

// unnamed identifies a JSON web token without a jti by a hash of its header and
// payload. The signature is not included: some algorithms produce a different one
// each time.
func unnamed(raw string) string {
	return fingerprint([]byte(raw[:strings.LastIndexByte(raw, '.')]))
}

// refusal explains why a token was rejected, without any of its content.
func refusal(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return errExpired
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuse("the token is malformed")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuse("the token was not made for this server: no key of it fits")
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse("the token must expire and be for the audience %s", Audience)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse("the token is not valid yet")
	}
	return refuse("the token is not valid")
}

// ErrRevoked is the error for a token that has been revoked.
var ErrRevoked = refuse("the token has been revoked")

var errExpired = refuse("the token has expired: get a new one")

func refuse(format string, args ...any) error {
	return logservice.Errorf(logservice.ErrForbidden, format, args...)
}

// Signer makes JSON web tokens. Create one with NewSigner.
type Signer struct {
	method jwt.SigningMethod
	key    any
	kid    string
}

// NewSigner returns a signer for a shared secret ([]byte, HS256) or a private
// key (Ed25519: EdDSA; RSA: RS256; ECDSA on P-256: ES256).
func NewSigner(key any) (*Signer, error) {
	switch k := key.(type) {
	case []byte:
		return &Signer{jwt.SigningMethodHS256, k, secretID(k)}, nil
	case ed25519.PrivateKey:
		return &Signer{jwt.SigningMethodEdDSA, k, keyID(k.Public())}, nil
	case *rsa.PrivateKey:
		return &Signer{jwt.SigningMethodRS256, k, keyID(k.Public())}, nil
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return &Signer{jwt.SigningMethodES256, k, keyID(k.Public())}, nil
		}
	}
	return nil, logservice.Invalidf("a key of type %T cannot sign tokens: use Ed25519, RSA, or ECDSA on P-256", key)
}

// Sign makes a token for g. An empty ID is replaced by a random one. Expires is
// required. The error is logservice.ErrInvalid if no token can express g.
func (s *Signer) Sign(g Grant, now time.Time) (string, Grant, error) {
	if g.ID == "" {
		g.ID = rand.Text()
	}
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Audience, Audience: jwt.ClaimStrings{Audience}, ID: g.ID,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(g.Expires),
		},
		Account: g.Account, AllAccounts: g.AllAccounts, Prefix: string(g.Prefix), Verbs: g.Verbs.Names(), From: g.From,
	}
	if g.Expires.IsZero() {
		c.ExpiresAt = nil
	}
	g, err := c.grant()
	if err != nil {
		return "", Grant{}, err
	}
	t := jwt.NewWithClaims(s.method, &c)
	t.Header["kid"] = s.kid
	text, err := t.SignedString(s.key)
	if err != nil {
		return "", Grant{}, fmt.Errorf("sign token: %w", err)
	}
	return text, g, nil
}

// find returns the keys that may have signed a token: those of its algorithm, or
// only the one whose ID the token names, if there is one.
func (k *keySet) find(t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	var set jwt.VerificationKeySet
	for _, key := range k.keys {
		if key.method == t.Method.Alg() {
			set.Keys = append(set.Keys, key.key)
			if kid != "" && key.id == kid {
				return key.key, nil
			}
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("no key of this algorithm")
	}
	return set, nil
}

// methodOf returns the algorithm of a public key.
func methodOf(key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return "EdDSA", nil
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return "", logservice.Invalidf("an RSA key of %d bits is too weak: at least %d", k.N.BitLen(), minRSABits)
		}
		return "RS256", nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return "ES256", nil
		}
	}
	return "", logservice.Invalidf("a key of type %T verifies no tokens: use Ed25519, RSA, or ECDSA on P-256", key)
}

// isJWT distinguishes a JSON web token from an account token by its dots.
func isJWT(s string) bool { return strings.Count(s, ".") == 2 }
