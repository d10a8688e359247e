package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"slices"

	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/config"
)

// NewVerifier returns what verifies tokens by the settings of c: nil where
// authentication is off.
func NewVerifier(c config.Config, log *slog.Logger) (*auth.Verifier, error) {
	if !c.AuthOn() {
		return nil, nil
	}
	var trusted *auth.OIDC
	if c.OIDC.Issuer != "" {
		trusted = &c.OIDC
	}
	return auth.New(auth.Config{
		Secrets:      texts(c.Secret, c.OldSecrets),
		GlobalTokens: texts(c.GlobalToken, c.OldGlobalTokens),
		KeyFiles:     c.JWTKeys,
		OIDC:         trusted,
		RevokedFile:  c.RevokedTokens,
		Logger:       log,
	})
}

// linkKey is what links and tickets are signed with. One that comes from the
// secret lets each of several servers take the links of the others.
func linkKey(c config.Config, data *folder) ([]byte, error) {
	if c.Secret == "" {
		return data.linkKey()
	}
	h := hmac.New(sha256.New, []byte(c.Secret))
	h.Write([]byte("log-service link key 1"))
	return h.Sum(nil), nil
}

// texts is the new secret and the old ones, those that are set.
func texts(now config.Secret, old []config.Secret) (all []string) {
	for _, s := range slices.Concat([]config.Secret{now}, old) {
		if s != "" {
			all = append(all, string(s))
		}
	}
	return all
}
