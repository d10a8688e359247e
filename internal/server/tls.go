package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/harness/log-service/internal/config"
)

// checkFiles limits how often handshakes check whether the certificate files have
// changed.
const checkFiles = time.Second

// certificates are read from files and reloaded when these change: a renewal needs
// no restart.
type certificates struct {
	cert, key, clientCA string // file names; clientCA may be empty
	log                 *slog.Logger

	mu      sync.Mutex  // guards the fields below
	config  *tls.Config // for handshakes; replaced, never modified
	read    []stamp     // of the files that config was made from
	refused []stamp     // of files that were rejected
	checked time.Time
}

// stamp identifies a version of a file.
type stamp struct {
	modified time.Time
	size     int64
}

// newTLS returns the TLS configuration of all listeners, which uses the files named
// by c as they are at each handshake; nil if c names none. A listener that modifies
// it must use a clone.
func newTLS(c config.Config, log *slog.Logger) (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	x := &certificates{cert: c.TLSCert, key: c.TLSKey, clientCA: c.TLSClientCA, log: log}
	var err error
	if x.read, err = x.stamps(); err != nil {
		return nil, err
	}
	if x.config, err = x.load(); err != nil {
		return nil, err
	}
	outer := baseTLS()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return x.current(), nil }
	return outer, nil
}

func baseTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

// current returns the configuration for a handshake. If the files cannot be read or
// do not match, the last good configuration stays in use: a renewal may be
// halfway through.
func (x *certificates) current() *tls.Config {
	x.mu.Lock()
	defer x.mu.Unlock()
	if time.Since(x.checked) < checkFiles {
		return x.config
	}
	x.checked = time.Now()
	now, err := x.stamps()
	if err == nil && equal(now, x.read) {
		return x.config
	}
	var fresh *tls.Config
	if err == nil {
		fresh, err = x.load()
	}
	switch {
	case err == nil:
		x.log.Info("TLS certificates reloaded")
		x.config, x.read, x.refused = fresh, now, nil
	case x.refused == nil || !equal(now, x.refused):
		x.log.Error("new TLS certificates cannot be used; keeping the current ones", "error", err)
		x.refused = append([]stamp{}, now...) // log it once
	}
	return x.config
}

func (x *certificates) stamps() ([]stamp, error) {
	var all []stamp
	for _, name := range []string{x.cert, x.key, x.clientCA} {
		if name == "" {
			continue
		}
		st, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		all = append(all, stamp{st.ModTime(), st.Size()})
	}
	return all, nil
}

func equal(a, b []stamp) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].modified.Equal(b[i].modified) || a[i].size != b[i].size {
			return false
		}
	}
	return true
}

// load reads the files.
func (x *certificates) load() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(x.cert, x.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", x.cert, x.key, err)
	}
	c := baseTLS()
	c.Certificates = []tls.Certificate{cert}
	if x.clientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(x.clientCA)
	if err != nil {
		return nil, err
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client CA %s: %w", x.clientCA, errors.New("no certificate in PEM form"))
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}
