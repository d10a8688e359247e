package e2e_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/faultproxy"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestResumeIsExactOverAnyCutConnection writes and reads a log through proxies that
// cut every connection after a random number of bytes: within a body, response,
// header or event. Readers continue while the log is closed and archived; one starts
// only then.
func TestResumeIsExactOverAnyCutConnection(t *testing.T) {
	t.Parallel()
	lines := streamtest.Scale(5_000, 50_000, 1_000_000)
	const lineBytes = 200 // approximate, in a tail
	limit := hangLimit + time.Duration(lines/1000)*time.Second
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()

	s := startServer(t, program(t))
	total := int64(lines) * lineBytes
	reads := startProxy(t, faultproxy.Config{Target: s.addr, Down: faultproxy.Range{Min: 1, Max: total / 50}, Seed: 1})
	writes := startProxy(t, faultproxy.Config{
		Target: s.addr, Seed: 2,
		Up:   faultproxy.Range{Min: 1, Max: 400_000},
		Down: faultproxy.Range{Min: 1, Max: 20_000}, // about 200 responses
	})
	const key = "resume/log"
	direct := newWire(s.url)
	if err := direct.open(ctx, key); err != nil {
		t.Fatal(err)
	}

	var readers [3]*hashing
	tails, ctx := errgroup.WithContext(ctx)
	follow := func(i int) {
		readers[i] = newHashing()
		r := tailer{wire: newWire("http://" + reads.Addr()), key: key, line: readers[i].line}
		tails.Go(func() error {
			err := r.run(ctx)
			t.Logf("reader %d: %d lines over %d connections", i, readers[i].lines, r.conns)
			return err
		})
	}
	follow(0)
	follow(1)
	sent, err := writeThrough(ctx, newWire("http://"+writes.Addr()), key, lines)
	if err != nil {
		t.Fatal(err)
	}
	if err := direct.close(ctx, key, "snapshot=true"); err != nil {
		t.Fatal(err)
	}
	follow(2)
	if err := tails.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, r := range readers {
		if r.lines != sent.lines || r.String() != sent.String() {
			t.Errorf("reader %d has %d lines of SHA-256 %v, sent were %d of %v", i, r.lines, r, sent.lines, sent)
		}
	}
	if reads.Cuts() < 20 || writes.Cuts() < 3 {
		t.Errorf("only %d reading and %d writing connections were cut: this shows little", reads.Cuts(), writes.Cuts())
	}
	t.Logf("%d reading and %d writing connections were cut", reads.Cuts(), writes.Cuts())
	s.stop()
}

// writeThrough pushes lines in batches. Every second one carries its offset; the
// others are recognized only by their content.
func writeThrough(ctx context.Context, w *wire, key string, n int) (*hashing, error) {
	return writePaced(ctx, w, key, n, func(context.Context, int) error { return nil })
}

// writePaced is writeThrough, but calls wait before each batch.
func writePaced(ctx context.Context, w *wire, key string, n int, wait func(ctx context.Context, line int) error) (*hashing, error) {
	writer := streamtest.Writer{Name: "writer", Pad: 60}
	sent := newHashing()
	for batch := 0; sent.lines < n; batch++ {
		if err := wait(ctx, sent.lines+1); err != nil {
			return nil, err
		}
		query := ""
		if batch%2 == 0 {
			query = fmt.Sprintf("offset=%d", sent.lines+1)
		}
		lines := writer.Lines(min(1+batch*37%300, n-sent.lines))
		next, err := w.push(ctx, key, query, lines)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if err := sent.line(0, []byte(l)); err != nil {
				return nil, err
			}
		}
		if next != int64(sent.lines+1) {
			return nil, fmt.Errorf("next sequence is %d after %d lines", next, sent.lines)
		}
	}
	return sent, nil
}

// hashing is the SHA-256 of lines, each followed by a newline.
type hashing struct {
	hash  hash.Hash
	buf   []byte // not yet hashed: with the race detector, small pieces are slow
	lines int
}

func newHashing() *hashing { return &hashing{hash: sha256.New()} }

func (h *hashing) line(_ int64, json []byte) error {
	h.buf = append(append(h.buf, json...), '\n')
	if len(h.buf) > 64<<10 {
		h.flush()
	}
	h.lines++
	return nil
}

func (h *hashing) flush() {
	_, _ = h.hash.Write(h.buf) // never fails
	h.buf = h.buf[:0]
}

func (h *hashing) String() string {
	h.flush()
	return fmt.Sprintf("%x", h.hash.Sum(nil))
}

func startProxy(t *testing.T, c faultproxy.Config) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}
