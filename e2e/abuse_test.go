package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/harness/log-service/internal/stream/streamtest"
	"github.com/harness/log-service/internal/tlstest"
)

// How long a probe measures, and how much its latency may grow during an attack: to
// many times the usual value, or a fifth of what clients wait. Attackers, probe and other tests share the processors
// with the server.
const (
	probeTime  = time.Second
	probeRatio = 30
	probeLimit = 2 * time.Second
)

// probe is a client of another account that only wants to append.
type probe struct {
	w     *wire
	fresh *wire // one connection per request
}

func newProbe(t *testing.T, url string, c *tls.Config) *probe {
	t.Helper()
	p := &probe{w: newWire(url), fresh: newWire(url)}
	for _, w := range []*wire{p.w, p.fresh} {
		w.account = "probe"
		w.http.Transport.(*http.Transport).TLSClientConfig = c
	}
	p.fresh.http.Transport.(*http.Transport).DisableKeepAlives = true
	if err := p.w.open(t.Context(), "probe"); err != nil {
		t.Fatal(err)
	}
	return p
}

// measure appends for a while and returns the 99th percentile of the time to
// the answer. Everything must be answered with 204 at the first try.
func (p *probe) measure(t *testing.T) time.Duration {
	t.Helper()
	var took []time.Duration
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(probeTime); time.Now().Before(end); <-tick.C {
		w := p.w
		if len(took)%2 == 1 {
			w = p.fresh
		}
		begun := time.Now()
		a, err := w.call(t.Context(), http.MethodPut, "/stream", "probe", "", []byte(`[{"out":"x\n"}]`))
		if err != nil || a.status != http.StatusNoContent {
			t.Errorf("the probe was answered %v, %v", a, err)
			return 0
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// TestAttacksDoNotKeepOthersWaiting measures a client of one account while another
// client attacks the server.
func TestAttacksDoNotKeepOthersWaiting(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	cert, key := ca.Leaf("server")
	dir := t.TempDir()
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain := startServer(t, plainProgram(t))
	secure := startServer(t, plainProgram(t), "LOG_SERVICE_TLS_CERT="+filepath.Join(dir, "cert.pem"), "LOG_SERVICE_TLS_KEY="+filepath.Join(dir, "key.pem"))
	clientTLS := ca.ClientTLS(nil)
	connections := streamtest.Scale(200, 1000, 5000)
	before := map[*process]time.Duration{} // the p99 of the probe in peace

	for _, c := range []struct {
		name   string
		s      *process
		tls    *tls.Config
		attack func(ctx context.Context, t *testing.T, addr string) (what string)
	}{
		{"slow heads", plain, nil, func(ctx context.Context, t *testing.T, addr string) string {
			return drip(ctx, t, addr, connections, "GET /stream?accountID=flood&key=k HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a")
		}},
		{"slow bodies", plain, nil, func(ctx context.Context, t *testing.T, addr string) string {
			return drip(ctx, t, addr, connections, "PUT /stream?accountID=flood&key=k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n[", " ")
		}},
		{"large bodies that do not end", plain, nil, func(ctx context.Context, t *testing.T, addr string) string {
			const size = 48 << 20
			return drip(ctx, t, addr, 12, fmt.Sprintf("PUT /stream?accountID=flood&key=k HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n[", size+1000)+strings.Repeat(" ", size), " ")
		}},
		{"header floods", plain, nil, headerFlood},
		{"rapid resets", secure, clientTLS, func(ctx context.Context, t *testing.T, addr string) string {
			return rapidReset(ctx, t, addr, clientTLS)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if before[c.s] == 0 {
				before[c.s] = newProbe(t, c.s.url, c.tls).measure(t)
			}
			p, before := newProbe(t, c.s.url, c.tls), before[c.s]
			ctx, stop := context.WithCancel(t.Context())
			what := make(chan string)
			go func() { what <- c.attack(ctx, t, c.s.addr) }()
			during := p.measure(t)
			stop()
			done := <-what
			peak, _ := c.s.memory("VmHWM")
			t.Logf("p99 %v, with %s %v (%.1f times); peak RSS %d MiB", before.Round(10*time.Microsecond), done,
				during.Round(10*time.Microsecond), float64(during)/float64(max(before, 1)), peak>>20)
			if during > max(probeRatio*before, probeLimit) {
				t.Errorf("p99 of the probe is %v during the attack, %v before", during, before)
			}
		})
	}
	plain.stop()
	secure.stop()
}

// drip opens connections that send begin and then one byte at a time, until ctx
// ends.
func drip(ctx context.Context, t *testing.T, addr string, n int, begin, byte string) string {
	var attackers sync.WaitGroup
	for range n {
		attackers.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
			if _, err := io.WriteString(c, begin); err != nil {
				return // a refused connection is fine
			}
			for tick := time.NewTicker(200 * time.Millisecond); ; {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					if _, err := io.WriteString(c, byte); err != nil {
						return
					}
				}
			}
		})
	}
	attackers.Wait()
	return fmt.Sprint(n, " connections")
}

// headerFlood sends heads that are far too large, one after the other.
func headerFlood(ctx context.Context, t *testing.T, addr string) string {
	flood := "GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Flood: "+strings.Repeat("a", 1000)+"\r\n", 1000)
	var attackers sync.WaitGroup
	var sent, answered int
	var mu sync.Mutex // guards sent and answered
	for range 8 {
		attackers.Go(func() {
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				_, _ = io.WriteString(c, flood) // the server disconnects midway
				row, _ := bufio.NewReader(c).ReadString('\n')
				_ = c.Close()
				mu.Lock()
				sent++
				switch {
				case strings.HasPrefix(row, "HTTP/1.1 431 "):
					answered++
				case row != "":
					t.Errorf("a head of a megabyte is answered %q", row)
				}
				mu.Unlock()
			}
		})
	}
	attackers.Wait()
	return fmt.Sprintf("%d heads of 1 MB, %d of them answered 431 in time to be read", sent, answered)
}

// rapidReset opens HTTP/2 streams and resets them immediately, as fast as it can
// (CVE-2023-44487).
func rapidReset(ctx context.Context, t *testing.T, addr string, c *tls.Config) string {
	c = c.Clone()
	c.NextProtos = []string{"h2"}
	var attackers sync.WaitGroup
	var resets, connections int
	var mu sync.Mutex // guards resets and connections
	for range 4 {
		attackers.Go(func() {
			for ctx.Err() == nil {
				n, err := resetStreams(ctx, addr, c)
				mu.Lock()
				resets += n
				connections++
				mu.Unlock()
				if err != nil && n == 0 {
					t.Error(err)
					return
				}
			}
		})
	}
	attackers.Wait()
	return fmt.Sprintf("%d resets over %d connections", resets, connections)
}

// resetStreams is one connection of rapidReset, until the server ends it.
func resetStreams(ctx context.Context, addr string, c *tls.Config) (n int, err error) {
	conn, err := tls.Dial("tcp", addr, c)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	defer reading.Wait()
	defer conn.Close()

	out := bufio.NewWriterSize(conn, 16<<10)
	_, _ = out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(out, nil)
	_ = f.WriteSettings()
	_ = f.WriteSettingsAck()
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for id := uint32(1); id < 1<<20; id += 2 {
		head.Reset()
		for _, h := range [][2]string{
			{":method", "GET"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/stream?accountID=flood&key=k"},
		} {
			_ = enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
		}
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			return n, err
		}
		if err := f.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
			return n, err
		}
		n++
	}
	return n, out.Flush()
}

// TestSlowHeadsAreCutOff: a connection that does not send its request in time is
// closed.
func TestSlowHeadsAreCutOff(t *testing.T) {
	if os.Getenv(streamtest.LongEnv) == "" {
		t.Skip("takes the 10 s that a head may take; " + streamtest.LongEnv + "=1 runs it")
	}
	s := startServer(t, plainProgram(t))
	c := dial(t, s.addr)
	begun := time.Now()
	c.write("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	for tick := time.NewTicker(100 * time.Millisecond); time.Since(begun) < 15*time.Second; <-tick.C {
		if _, err := io.WriteString(c, "a"); err != nil {
			break
		}
	}
	if took := time.Since(begun); took < 9*time.Second || took > 14*time.Second {
		t.Errorf("cut off after %v, want some 10 s", took)
	}
}
