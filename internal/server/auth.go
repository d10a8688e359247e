package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"slices"

	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/config"
)

// NewVerifier returns the Verifier configured by c, or nil if authentication is
// off.
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

// linkKey returns the key that signs links and tickets. If it is derived from the
// secret, servers with the same secret accept each other's links.
func linkKey(c config.Config, data *folder) ([]byte, error) {
	if c.Secret == "" {
		return data.linkKey()
	}
	h := hmac.New(sha256.New, []byte(c.Secret))
	h.Write([]byte("log-service link key 1"))
	return h.Sum(nil), nil
}

// texts returns the current secret and the old ones, omitting empty ones.
func texts(now config.Secret, old []config.Secret) (all []string) {
	for _, s := range slices.Concat([]config.Secret{now}, old) {
		if s != "" {
			all = append(all, string(s))
		}
	}
	return all
}
