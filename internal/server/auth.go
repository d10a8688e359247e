package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"

	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/config"
)

// NewVerifier returns the Verifier configured by c, or nil if authentication is
// off.
func NewVerifier(c config.Config, log *slog.Logger) (*auth.Verifier, error) {
	if !c.AuthOn() {
		return nil, nil
	}
	trust := c.Auth
	trust.Logger = log
	return auth.New(trust)
}

// linkKey returns the key that signs links and tickets. If it is derived from the
// secret, servers with the same secret accept each other's links.
func linkKey(c config.Config, data *folder) ([]byte, error) {
	if c.Auth.Secret == "" {
		return data.linkKey()
	}
	h := hmac.New(sha256.New, []byte(c.Auth.Secret))
	h.Write([]byte("log-service link key 1"))
	return h.Sum(nil), nil
}
