package faultproxy_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/harness/log-service/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo sends back what each connection receives.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func listen(t *testing.T, c faultproxy.Config) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func dial(t *testing.T, p *faultproxy.Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

func TestBytesAndCloseAreForwardedBothWays(t *testing.T) {
	p := listen(t, faultproxy.Config{Target: echo(t)})
	c := dial(t, p)
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("got %d bytes and %v, want the %d sent", len(got), err, len(sent))
	}
	if p.Cuts() != 0 {
		t.Errorf("%d cuts, want none", p.Cuts())
	}
}

func TestAConnectionIsCutAfterItsBytes(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789"), 10_000)
	for name, c := range map[string]faultproxy.Config{
		"from the target": {Down: faultproxy.Range{Min: 1, Max: 5000}},
		"to the target":   {Up: faultproxy.Range{Min: 1, Max: 5000}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Target = echo(t)
			p := listen(t, c)
			lengths := map[int]bool{}
			for i := range 20 {
				conn := dial(t, p)
				_, _ = conn.Write(sent) // fails if the cut comes first
				got, _ := io.ReadAll(conn)
				if len(got) > 5000 || !bytes.HasPrefix(sent, got) {
					t.Fatalf("got %d bytes, want at most 5000 of those sent", len(got))
				}
				lengths[len(got)] = true
				if p.Cuts() < int64(i+1) {
					t.Fatalf("%d cuts after %d connections", p.Cuts(), i+1)
				}
			}
			if c.Down.Max > 0 && len(lengths) < 3 {
				t.Errorf("cut after always the same numbers of bytes: %v", lengths)
			}
		})
	}
}

func TestCutAllEndsEveryConnection(t *testing.T) {
	p := listen(t, faultproxy.Config{Target: echo(t)})
	var conns []*net.TCPConn
	for range 3 {
		c := dial(t, p)
		if len(conns) == 0 { // the target accepts one connection at a time: it is this one
			_, _ = c.Write([]byte("x"))
			_, _ = io.ReadFull(c, make([]byte, 1))
		}
		conns = append(conns, c)
	}
	p.CutAll()
	if _, err := conns[0].Read(make([]byte, 1)); err == nil {
		t.Errorf("a connection outlived CutAll")
	}
}

func TestATargetThatIsDownEndsTheConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	p := listen(t, faultproxy.Config{Target: l.Addr().String()})
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return // already reset
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read something from nobody")
	}
}
