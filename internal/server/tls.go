package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/reload"
)

// newTLS returns the TLS configuration of all listeners, which uses the files named
// by c as they are at each handshake, so that a renewal needs no restart; nil if c
// names none. A listener that modifies it must use a clone.
func newTLS(c config.Config, log *slog.Logger) (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	names := []string{c.TLSCert, c.TLSKey}
	if c.TLSClientCA != "" {
		names = append(names, c.TLSClientCA)
	}
	current, err := reload.New(log, loadTLS, names...)
	if err != nil {
		return nil, err
	}
	outer := baseTLS()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Get(time.Now()), nil }
	return outer, nil
}

func baseTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

// loadTLS reads the files of a certificate, its key and, if named, the authorities
// of clients.
func loadTLS(names []string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(names[0], names[1])
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", names[0], names[1], err)
	}
	c := baseTLS()
	c.Certificates = []tls.Certificate{cert}
	if len(names) == 2 {
		return c, nil
	}
	pem, err := os.ReadFile(names[2])
	if err != nil {
		return nil, err
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client CA %s: %w", names[2], errors.New("no certificate in PEM form"))
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}
