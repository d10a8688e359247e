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
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/harness/log-service/internal/stream/streamtest"
	"github.com/harness/log-service/internal/tlstest"
)

// A probe measures with so many requests during an attack, and each of them may take
// as long as so many requests of the same kind to a server that nobody attacks, one
// after the other: about a second on a quiet machine. Attackers, both servers and other
// tests share the processors, which delays both kinds of requests.
const (
	probeRequests = 50
	probeLimit    = 1000
)

// probe is a client of another account that only wants to append.
type probe struct {
	w     *wire
	fresh *wire // one connection per request
	n     int
}

func newProbe(t *testing.T, url string, c *tls.Config) *probe {
	t.Helper()
	p := &probe{w: newWire(url), fresh: newWire(url)}
	for _, w := range []*wire{p.w, p.fresh} {
		w.account = "probe"
		w.http.Timeout = startLimit
		w.http.Transport.(*http.Transport).TLSClientConfig = c
	}
	p.fresh.http.Transport.(*http.Transport).DisableKeepAlives = true
	if err := p.w.open(t.Context(), "probe"); err != nil {
		t.Fatal(err)
	}
	return p
}

// request appends. It must be answered with 204 at the first try.
func (p *probe) request(ctx context.Context) error {
	w := p.w
	if p.n%2 == 1 {
		w = p.fresh
	}
	p.n++
	a, err := w.call(ctx, http.MethodPut, "/stream", "probe", "", []byte(`[{"out":"x\n"}]`))
	return want(a, err, http.StatusNoContent)
}

// clock counts the requests that an unattacked server has answered.
type clock struct {
	answers atomic.Int64
	work    sync.WaitGroup
	stop    context.CancelFunc
}

// startClock sends requests to the server of p, one after the other, until stop.
func startClock(t *testing.T, p *probe) *clock {
	c := &clock{}
	ctx, cancel := context.WithCancel(t.Context())
	c.stop = func() {
		cancel()
		c.work.Wait()
	}
	c.work.Go(func() {
		for {
			err := p.request(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Errorf("the server that nobody attacks: %v", err)
				return
			}
			c.answers.Add(1)
		}
	})
	return c
}

// measure appends until the attack has begun, and then some more. It returns the
// 99th percentile of the time to the answer, in answers of c.
func (p *probe) measure(t *testing.T, c *clock, begun <-chan struct{}) int64 {
	t.Helper()
	var took []int64
	for left := probeRequests; left > 0; {
		select {
		case <-begun:
			left--
		default:
		}
		before := c.answers.Load()
		if err := p.request(t.Context()); err != nil {
			t.Errorf("request %d of the probe: %v", len(took), err)
			return 0
		}
		took = append(took, c.answers.Load()-before)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// attack is what attackers of a server have in common.
type attack struct {
	t    *testing.T
	ctx  context.Context // until its end
	addr string
	tls  *tls.Config

	on func() // called when it has begun
}

// TestAttacksDoNotKeepOthersWaiting measures a client of one account while another
// client attacks the server.
func TestAttacksDoNotKeepOthersWaiting(t *testing.T) {
	if unraced(t) {
		return
	}
	ca := tlstest.NewAuthority(t)
	cert, key := ca.Leaf("server")
	dir := t.TempDir()
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	encrypted := []string{"LOG_SERVICE_TLS_CERT=" + filepath.Join(dir, "cert.pem"), "LOG_SERVICE_TLS_KEY=" + filepath.Join(dir, "key.pem")}
	clientTLS := ca.ClientTLS(nil)
	connections := streamtest.Scale(200, 1000, 5000)

	for _, c := range []struct {
		name   string
		env    []string
		tls    *tls.Config
		attack func(attack) (what string)
	}{
		{"slow heads", nil, nil, func(a attack) string {
			return a.drip(connections, "GET /stream?accountID=flood&key=k HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a")
		}},
		{"slow bodies", nil, nil, func(a attack) string {
			return a.drip(connections, "PUT /stream?accountID=flood&key=k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n[", " ")
		}},
		{"large bodies that do not end", nil, nil, func(a attack) string {
			const size = 48 << 20
			return a.drip(12, fmt.Sprintf("PUT /stream?accountID=flood&key=k HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n[", size+1000)+strings.Repeat(" ", size), " ")
		}},
		{"header floods", nil, nil, attack.headerFlood},
		{"rapid resets", encrypted, clientTLS, attack.rapidReset},
	} {
		t.Run(c.name, func(t *testing.T) {
			attacked, quiet := startServer(t, plainProgram(t), c.env...), startServer(t, plainProgram(t), c.env...)
			p, clock := newProbe(t, attacked.url, c.tls), startClock(t, newProbe(t, quiet.url, c.tls))
			defer clock.stop()
			ctx, stop := context.WithCancel(t.Context())
			begun, what := make(chan struct{}), make(chan string)
			go func() {
				what <- c.attack(attack{t: t, ctx: ctx, addr: attacked.addr, tls: c.tls, on: sync.OnceFunc(func() { close(begun) })})
			}()
			p99 := p.measure(t, clock, begun)
			stop()
			done := <-what
			peak, _ := attacked.memory("VmHWM")
			t.Logf("%d requests of the probe with %s: the p99 took as long as %d of %d requests to a quiet server; peak RSS %d MiB",
				p.n, done, p99, clock.answers.Load(), peak>>20)
			if p99 > probeLimit {
				t.Errorf("the p99 of the probe takes as long as %d requests to a server that nobody attacks, want at most %d", p99, probeLimit)
			}
			clock.stop()
			attacked.stop()
			quiet.stop()
		})
	}
}

// drip opens connections that send begin and then one byte at a time, until the
// attack ends.
func (a attack) drip(n int, begin, byte string) string {
	var attackers, dialled sync.WaitGroup
	dialled.Add(n)
	for range n {
		attackers.Go(func() {
			c, err := net.Dial("tcp", a.addr)
			dialled.Done()
			if err != nil {
				a.t.Error(err)
				return
			}
			defer c.Close()
			defer context.AfterFunc(a.ctx, func() { _ = c.SetDeadline(time.Now()) })()
			if _, err := io.WriteString(c, begin); err != nil {
				return // a refused connection is fine
			}
			for tick := time.NewTicker(200 * time.Millisecond); ; {
				select {
				case <-a.ctx.Done():
					return
				case <-tick.C:
					if _, err := io.WriteString(c, byte); err != nil {
						return
					}
				}
			}
		})
	}
	dialled.Wait()
	a.on()
	attackers.Wait()
	return fmt.Sprint(n, " connections")
}

// headerFlood sends heads that are far too large, one after the other.
func (a attack) headerFlood() string {
	flood := "GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Flood: "+strings.Repeat("a", 1000)+"\r\n", 1000)
	var attackers sync.WaitGroup
	var sent, answered int
	var mu sync.Mutex // guards sent and answered
	for range 8 {
		attackers.Go(func() {
			for a.ctx.Err() == nil {
				c, err := net.Dial("tcp", a.addr)
				if err != nil {
					a.t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(startLimit))
				_, _ = io.WriteString(c, flood) // the server disconnects midway
				row, _ := bufio.NewReader(c).ReadString('\n')
				_ = c.Close()
				a.on()
				mu.Lock()
				sent++
				switch {
				case strings.HasPrefix(row, "HTTP/1.1 431 "):
					answered++
				case row != "":
					a.t.Errorf("a head of a megabyte is answered %q", row)
				}
				mu.Unlock()
			}
		})
	}
	attackers.Wait()
	if answered == 0 {
		a.t.Errorf("none of %d heads of a megabyte was answered 431", sent)
	}
	return fmt.Sprintf("%d heads of 1 MB, %d of them answered 431 in time to be read", sent, answered)
}

// rapidReset opens HTTP/2 streams and resets them immediately, as fast as it can
// (CVE-2023-44487).
func (a attack) rapidReset() string {
	a.tls = a.tls.Clone()
	a.tls.NextProtos = []string{"h2"}
	var attackers sync.WaitGroup
	var resets, connections int
	var mu sync.Mutex // guards resets and connections
	for range 4 {
		attackers.Go(func() {
			for a.ctx.Err() == nil {
				n, err := a.resetStreams()
				mu.Lock()
				resets += n
				connections++
				mu.Unlock()
				if err != nil && n == 0 {
					a.t.Error(err)
					return
				}
			}
		})
	}
	attackers.Wait()
	return fmt.Sprintf("%d resets over %d connections", resets, connections)
}

// resetStreams is one connection of rapidReset, until the server ends it.
func (a attack) resetStreams() (n int, err error) {
	conn, err := tls.Dial("tcp", a.addr, a.tls)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(a.ctx, func() { _ = conn.SetDeadline(time.Now()) })()
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
		if n++; n == 1000 {
			a.on()
		}
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
