package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned returns a certificate, and a file to trust it with.
func selfSigned(t *testing.T, c x509.Certificate) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(1), pkix.Name{CommonName: "the authority"}
	c.IsCA, c.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestWhatIsWrongWithACertificateIsNamed(t *testing.T) {
	now, day := time.Now(), 24*time.Hour
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	for name, tc := range map[string]struct {
		cert  x509.Certificate
		trust bool
		want  []string
	}{
		"unknown": {x509.Certificate{NotBefore: now.Add(-day), NotAfter: now.Add(day), IPAddresses: loopback}, false,
			[]string{"is from an authority that this machine does not trust (the authority)\n", "hint: if the server's certificate is from an authority of your own, name that: --ca-file FILE\n"}},
		"expired": {x509.Certificate{NotBefore: now.Add(-3 * day), NotAfter: now.Add(-2 * day), IPAddresses: loopback}, true,
			[]string{"expired on " + now.Add(-2*day).UTC().Format(time.DateOnly) + "\n", "hint: the server needs a new one\n"}},
		"future": {x509.Certificate{NotBefore: now.Add(2 * day), NotAfter: now.Add(3 * day), IPAddresses: loopback}, true,
			[]string{"is valid only from " + now.Add(2*day).UTC().Format(time.DateOnly) + " on\n", "hint: check the clock of this machine: it shows "}},
		"name": {x509.Certificate{NotBefore: now.Add(-day), NotAfter: now.Add(day), DNSNames: []string{"logs.example", "b.example"}}, true,
			[]string{" is for logs.example, b.example, not for 127.0.0.1\n", "hint: use a name that it is for, such as --server https://logs.example:"}},
		"no name": {x509.Certificate{NotBefore: now.Add(-day), NotAfter: now.Add(day)}, true,
			[]string{" has no name\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			cert, ca := selfSigned(t, tc.cert)
			srv := httptest.NewUnstartedServer(http.NotFoundHandler())
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.StartTLS()
			defer srv.Close()
			args := []string{"cistream", "info", "--server", srv.URL}
			if tc.trust {
				args = append(args, "--ca-file", ca)
			}
			var out strings.Builder
			status := Run(t.Context(), Program{Name: "log-service", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}, args)
			host := strings.TrimPrefix(srv.URL, "https://")
			if status != exitError || !strings.HasPrefix(out.String(), "error: info: the certificate of "+host+" ") || strings.Count(out.String(), "\n") > 2 {
				t.Errorf("status %d: %s", status, out.String())
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in %s", want, out.String())
				}
			}
		})
	}
}

func TestALogServiceAtItsUsualPortIsFound(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) }))
	defer srv.Close()
	_, usual, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	_ = free.Close()
	a := address{ctx: t.Context(), program: "log-service", scheme: "http", host: nobody, name: "127.0.0.1", http: usual, grpc: "1"}
	if d := a.refused(); d.what != "nothing listens on "+nobody+" (connection refused)" || d.hint != "a log service is at "+srv.URL+": use --server "+srv.URL {
		t.Error(d)
	}
	a.http = "1"
	if d := a.refused(); !strings.HasPrefix(d.hint, "is the server running? start one with: log-service server;") {
		t.Error(d)
	}
}
