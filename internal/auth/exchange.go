package auth

import (
	"time"

	logservice "github.com/harness/log-service"
)

// MaxExchangeTTL limits the lifetime of a token that was exchanged for an identity
// token: it covers the longest jobs of CI systems.
const MaxExchangeTTL = 24 * time.Hour

// Exchange makes a token with the scope of an identity token, which often expires
// after minutes while its job runs for hours; it is revoked with that. Other tokens
// cannot be exchanged, because repeated exchanges would extend them forever. The error is
// logservice.ErrInvalid for those and for a ttl out of range, and
// logservice.ErrUnsupported if there is no secret to sign with.
func (v *Verifier) Exchange(g Grant, ttl time.Duration) (string, error) {
	switch {
	case !g.Identity:
		return "", logservice.Invalidf("only the identity token of a CI system can be exchanged: use the token that you have")
	case ttl < time.Second || ttl > MaxExchangeTTL:
		return "", logservice.Invalidf("expires is %v: use a duration from 1s to %v, such as 6h", ttl, MaxExchangeTTL)
	case len(v.secrets) == 0:
		return "", logservice.Errorf(logservice.ErrUnsupported, "this server issues no tokens: it has no secret")
	}
	s, err := NewSigner(v.secrets[0])
	if err != nil {
		return "", err
	}
	now := time.Now()
	g.ID, g.From, g.Expires = "", g.ID, now.Add(ttl)
	token, _, err := s.Sign(g, now)
	return token, err
}
