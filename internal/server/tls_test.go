package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/tlstest"
)

// withTLS writes a server certificate from a to files and adds it to the settings.
func withTLS(t *testing.T, c config.Config, a *tlstest.Authority) config.Config {
	t.Helper()
	dir := t.TempDir()
	c.TLSCert, c.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	c.Proto = "https"
	renew(t, c, a, "server 1")
	return c
}

func renew(t *testing.T, c config.Config, a *tlstest.Authority, name string) {
	t.Helper()
	cert, key := a.Leaf(name)
	write(t, c.TLSCert, string(cert))
	write(t, c.TLSKey, string(key))
}

func httpsClient(t *testing.T, c *tls.Config, http2 bool) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: http2}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestEverythingWorksOverTLS(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	srv := start(t, withTLS(t, settings(t.TempDir()), ca))
	if !strings.HasPrefix(srv.URL(), "https://") {
		t.Fatal(srv.URL())
	}
	api, err := client.New(srv.URL(), client.WithTLS(ca.ClientTLS(nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.CloseIdleConnections)
	if err := api.Open(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	// One line longer than a TLS record, and many short ones.
	text := strings.Repeat("x", 100_000) + "\n" + strings.Repeat("short\n", 1000)
	if _, err := api.AppendBody(t.Context(), "a/b", client.Text, []byte(text)); err != nil {
		t.Fatal(err)
	}
	for _, http2 := range []bool{false, true} {
		hc := httpsClient(t, ca.ClientTLS(nil), http2)
		tail, err := hc.Get(srv.URL() + "/stream?accountID=default&key=a/b")
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Body.Close()
		if got := tail.ProtoMajor == 2; got != http2 {
			t.Errorf("protocol %s", tail.Proto)
		}
		in := bufio.NewReader(tail.Body)
		lines := 0
		for lines < 1001 {
			row, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: after %d lines: %v", tail.Proto, lines, err)
			}
			if strings.HasPrefix(row, "data: ") {
				lines++
				if lines == 1 && !strings.Contains(row, strings.Repeat("x", 100_000)) {
					t.Errorf("%s: the first line came as %.100q", tail.Proto, row)
				}
			}
		}
		if next, err := api.AppendBody(t.Context(), "a/b", client.Text, nil); err != nil || next != 1002 {
			t.Error(next, err)
		}
	}
	link, err := api.DownloadLink(t.Context(), "a/b", time.Minute)
	if err != nil || !strings.HasPrefix(link.URL, srv.URL()+"/link/") {
		t.Errorf("link %s, %v; want one over https", link.URL, err)
	}
	srv.ended(t)
}

func TestATailOverTLSEndsWithAStop(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		ca := tlstest.NewAuthority(t)
		srv := start(t, withTLS(t, settings(t.TempDir()), ca))
		hc := httpsClient(t, ca.ClientTLS(nil), http2)
		resp, err := hc.Post(srv.URL()+"/stream?accountID=default&key=a", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		tail, err := hc.Get(srv.URL() + "/stream?accountID=default&key=a")
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Body.Close()
		srv.ended(t)
		if text, _ := io.ReadAll(tail.Body); strings.Contains(string(text), "eof") {
			t.Errorf("%s: an open log was reported as ended: %q", tail.Proto, text)
		}
	}
}

// handshake returns the name in the server's certificate.
func handshake(addr string, c *tls.Config) (string, error) {
	c = c.Clone()
	c.ServerName = "localhost"
	conn, err := tls.Dial("tcp", addr, c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// In TLS 1.3 a client learns only on its first read that it was rejected, and
	// receives its session ticket then.
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	if answer, err := io.ReadAll(conn); err != nil {
		return "", err
	} else if !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		return "", fmt.Errorf("answer %q", answer)
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// eventually retries until try returns true.
func eventually(t *testing.T, what string, try func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !try() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("not within a minute: " + what)
		}
	}
}

func TestCertificatesAreRenewedWithoutARestart(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	c := withTLS(t, settings(t.TempDir()), ca)
	srv := start(t, c)
	addr := srv.Addr().String()
	trust := ca.ClientTLS(nil)
	if name, err := handshake(addr, trust); err != nil || name != "server 1" {
		t.Fatal(name, err)
	}
	cert, key := ca.Leaf("server 2")
	// Half a renewal: the new certificate with the old key.
	write(t, c.TLSCert, string(cert))
	stays := time.Now().Add(1500 * time.Millisecond) // longer than files stay unchecked
	eventually(t, "the half renewal is over", func() bool {
		if name, err := handshake(addr, trust); err != nil || name != "server 1" {
			t.Fatalf("during half a renewal: %q, %v; want the old certificate", name, err)
		}
		return time.Now().After(stays)
	})
	write(t, c.TLSKey, string(key))
	eventually(t, "the new certificate is served", func() bool {
		name, err := handshake(addr, trust)
		if err != nil {
			t.Fatal(err)
		}
		return name == "server 2"
	})
	srv.ended(t)
}

func TestClientsNeedACertificateOfTheClientCA(t *testing.T) {
	ca, clients, others := tlstest.NewAuthority(t), tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	c := withTLS(t, settings(t.TempDir()), ca)
	c.TLSClientCA = filepath.Join(t.TempDir(), "clients.pem")
	write(t, c.TLSClientCA, string(clients.PEM))
	srv := start(t, c)
	addr := srv.Addr().String()
	if _, err := handshake(addr, ca.ClientTLS(nil)); err == nil {
		t.Error("a client without a certificate was let in")
	}
	if _, err := handshake(addr, ca.ClientTLS(others)); err == nil {
		t.Error("a client of another authority was let in")
	}
	known := ca.ClientTLS(clients)
	known.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 2 {
		if _, err := handshake(addr, known); err != nil {
			t.Error("a client of the authority: ", err)
		}
	}
	// Clients of an authority removed from the file are rejected, even if they
	// resume a session.
	write(t, c.TLSClientCA, string(others.PEM))
	eventually(t, "the old authority is refused", func() bool {
		_, err := handshake(addr, known)
		return err != nil
	})
	if _, err := handshake(addr, ca.ClientTLS(others)); err != nil {
		t.Error("a client of the new authority: ", err)
	}
	srv.ended(t)
}
