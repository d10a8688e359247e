package auth

import (
	"time"

	logservice "github.com/harness/log-service"
)

// MaxExchangeTTL is how long a token lives at most that was exchanged for an
// identity token: as long as the longest jobs of CI systems.
const MaxExchangeTTL = 24 * time.Hour

// Exchange makes a token of the scope of an identity token, which often lives
// for minutes only, while the job that it names runs for hours. Others are
// not exchanged: they would live for ever. The error is logservice.ErrInvalid
// for those and for a ttl out of bounds, ErrUnsupported where there is no
// secret to make tokens with.
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
	g.ID, g.Expires = "", now.Add(ttl)
	token, _, err := s.Sign(g, now)
	return token, err
}
