package cli

import (
	"crypto/tls"
	"fmt"

	"github.com/harness/log-service/internal/roots"
)

// tlsConfig returns the https settings of the flags, or nil if there are none.
func (g *globals) tlsConfig() (*tls.Config, error) {
	if (g.Cert == "") != (g.Key == "") {
		return nil, usagef("--client-cert and --client-key must be given together")
	}
	if g.CAFile == "" && g.Cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if g.CAFile != "" {
		var err error
		if c.RootCAs, err = roots.With(g.CAFile); err != nil {
			return nil, &usage{err: fmt.Errorf("--ca-file: %w", err)}
		}
	}
	if g.Cert != "" {
		pair, err := tls.LoadX509KeyPair(g.Cert, g.Key)
		if err != nil {
			return nil, &usage{err: fmt.Errorf("--client-cert %s with --client-key %s: %w", g.Cert, g.Key, err)}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
