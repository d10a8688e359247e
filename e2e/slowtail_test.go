package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/stream/streamtest"
	"github.com/harness/log-service/internal/tlstest"
)

// TestASlowTailMissesNothingHoweverItIsWritten reads a log that exceeds the socket
// buffers, over each way in which the server writes a tail, with lines longer than
// one write.
func TestASlowTailMissesNothingHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := tlstest.NewAuthority(t)
	cert, key := ca.Leaf("127.0.0.1")
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, data := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain := startServer(t, program(t), "LOG_SERVICE_MEMORY=16777216")
	secure := startServer(t, program(t), "LOG_SERVICE_MEMORY=16777216", "LOG_SERVICE_TLS_CERT="+certFile, "LOG_SERVICE_TLS_KEY="+keyFile)
	trust := ca.ClientTLS(nil)

	lines := map[*process][]string{}
	for _, s := range []*process{plain, secure} {
		w := newWire(s.url)
		w.http.Transport.(*http.Transport).TLSClientConfig = trust
		for _, log := range []string{"slow/live", "slow/archived"} {
			if err := w.open(t.Context(), log); err != nil {
				t.Fatal(err)
			}
			writer := streamtest.Writer{Name: "writer", Pad: 900}
			lines[s] = nil
			for range 24 {
				batch := writer.Lines(500)
				batch[7] = fmt.Sprintf(`{"out":%q}`, strings.Repeat("long ", 60_000))
				if _, err := w.push(t.Context(), log, "", batch); err != nil {
					t.Fatal(err)
				}
				lines[s] = append(lines[s], batch...)
			}
		}
		if err := w.close(t.Context(), "slow/archived", ""); err != nil {
			t.Fatal(err)
		}
		data, err := w.archive(t.Context(), "slow/archived")
		if err != nil {
			t.Fatal(err)
		}
		if a, _, err := w.persist(t.Context(), http.MethodPost, "/blob", "slow/uploaded", "", data); err != nil || a.status >= 300 {
			t.Fatal(a, err)
		}
	}
	protocols := func(p ...string) *http.Protocols {
		x := new(http.Protocols)
		x.SetHTTP1(p[0] == "1")
		x.SetHTTP2(p[0] == "2")
		return x
	}
	for name, c := range map[string]struct {
		s         *process
		transport *http.Transport
	}{
		"TCP":    {plain, &http.Transport{}},
		"TLS":    {secure, &http.Transport{TLSClientConfig: trust.Clone(), Protocols: protocols("1")}},
		"HTTP 2": {secure, &http.Transport{TLSClientConfig: trust.Clone(), Protocols: protocols("2")}},
	} {
		for _, log := range []string{"slow/live", "slow/archived", "slow/uploaded"} {
			t.Run(name+" "+log, func(t *testing.T) {
				defer c.transport.CloseIdleConnections()
				resp, err := (&http.Client{Transport: c.transport}).Get(c.s.url + "/stream?accountID=acc&after=3&key=" + log)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				sees(t, bufio.NewReader(resp.Body), 3, lines[c.s], len(lines[c.s]))
			})
		}
	}
	t.Run("HTTP 1.0", func(t *testing.T) {
		conn, err := net.Dial("tcp", plain.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(startLimit))
		if _, err := io.WriteString(conn, "GET /stream?accountID=acc&key=slow/live HTTP/1.0\r\nHost: test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		sees(t, bufio.NewReader(resp.Body), 0, lines[plain], len(lines[plain]))
	})
}
