package clienttest_test

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/clienttest"
	"github.com/harness/log-service/internal/faultproxy"
)

// manyLines is the length of the logs in these tests.
func manyLines() int {
	if os.Getenv("LOG_SERVICE_TEST_LONG") != "" {
		return 1_000_000
	}
	return 50_000
}

// hasty retries at once: the tests below lose hundreds of connections.
func hasty() client.Option {
	return client.WithRetry(client.Retry{Total: time.Minute, First: time.Millisecond, Most: 50 * time.Millisecond})
}

// throughFaults returns a client whose connections to srv are cut after a
// random number of bytes.
func (p protocol) throughFaults(t *testing.T, srv *clienttest.Server, down, up faultproxy.Range) (*client.Client, *faultproxy.Proxy) {
	t.Helper()
	proxy, err := faultproxy.Listen(faultproxy.Config{Target: host(t, p.address(srv)), Down: down, Up: up, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	return p.dial(t, string(p)+"://"+proxy.Addr(), hasty()), proxy
}

func textOf(n int) string {
	return fmt.Sprintf("%07d the quick brown fox jumps over the lazy dog\n", n)
}

// wanted returns the checksum of n lines.
func wanted(n int) [sha256.Size]byte {
	h := sha256.New()
	for i := range n {
		io.WriteString(h, textOf(i))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func sum(h hash.Hash) [sha256.Size]byte { return [sha256.Size]byte(h.Sum(nil)) }

// follow reads key to its end and returns the checksum of its text.
func follow(t *testing.T, c *client.Client, k logservice.Key) (total [sha256.Size]byte, lines int64) {
	h := sha256.New()
	for l, err := range c.Tail(t.Context(), k) {
		if err != nil {
			t.Errorf("after line %d: %v", lines, err)
			break
		}
		if lines++; l.Seq != lines {
			t.Errorf("line %d came as %d", l.Seq, lines)
			break
		}
		io.WriteString(h, l.Out)
	}
	return sum(h), lines
}

func TestATailThroughCutConnectionsAndRestartsIsExact(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		direct := p.client(t, srv, hasty())
		opened(t, direct, key)
		tailer, proxy := p.throughFaults(t, srv, faultproxy.Range{Min: 1, Max: 200_000}, faultproxy.Range{})

		var reading sync.WaitGroup
		var got [sha256.Size]byte
		reading.Go(func() { got, _ = follow(t, tailer, key) })

		n := manyLines()
		w := direct.Writer(t.Context(), key)
		for i := range n {
			if _, err := io.WriteString(w, textOf(i)); err != nil {
				t.Fatal(err)
			}
			if i%(n/3) == n/3-1 { // while everything is in progress
				srv.Stop()
				srv.Start()
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := direct.Close(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		reading.Wait()
		if got != wanted(n) {
			t.Error("the tail is not the log")
		}
		if proxy.Cuts() < 10 {
			t.Errorf("only %d cuts", proxy.Cuts())
		}
		t.Logf("%d lines over %d cut connections", n, proxy.Cuts())
		if archived, lines := follow(t, tailer, key); archived != wanted(n) || lines != int64(n) {
			t.Error("the archive is not the log")
		}
	})
}

func TestCutConnectionsNeitherLoseNorDuplicateLines(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		for name, mode := range map[string][]client.WriterOption{"owner": nil, "owner, compressed": {client.Compress(true)}, "shared": {client.Shared()}} {
			t.Run(name, func(t *testing.T) {
				srv := clienttest.NewServer(t)
				opened(t, srv.Client(), key)
				// Cuts upstream lose requests; cuts downstream lose their responses, so
				// that nobody knows whether the requests were executed.
				faulty, proxy := p.throughFaults(t, srv, faultproxy.Range{Min: 1, Max: 2000}, faultproxy.Range{Min: 1, Max: 1_000_000})
				n := manyLines()
				w := faulty.Writer(t.Context(), key, mode...)
				for i := range n {
					if _, err := io.WriteString(w, textOf(i)); err != nil {
						t.Fatal(err)
					}
					if i%500 == 0 { // small batches give more chances of a fault
						if err := w.Flush(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				s := w.Stats()
				if s.Lines != int64(n) || s.Sent != s.Lines || s.Lost != 0 || s.Pending != 0 {
					t.Errorf("%+v", s)
				}
				if s.Retries < 5 || proxy.Cuts() < 5 {
					t.Errorf("only %d retries, %d cuts", s.Retries, proxy.Cuts())
				}
				t.Logf("%d lines, %d retries, %d cuts", n, s.Retries, proxy.Cuts())
				if err := srv.Client().Close(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				if got, lines := follow(t, srv.Client(), key); got != wanted(n) || lines != int64(n) {
					t.Errorf("the log has %d lines, or other ones", lines)
				}
			})
		}
	})
}

func TestLinesThroughCutConnectionsAreExact(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		direct := p.client(t, srv)
		opened(t, direct, key)
		w := direct.Writer(t.Context(), key)
		const n = 10_000
		for i := range n {
			io.WriteString(w, textOf(i))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		reader, _ := p.throughFaults(t, srv, faultproxy.Range{Min: 1, Max: 100_000}, faultproxy.Range{})
		h := sha256.New()
		for l, err := range reader.Lines(t.Context(), key) { // the log is still open
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(h, l.Out)
		}
		if sum(h) != wanted(n) {
			t.Error("the lines are not the log")
		}
	})
}
