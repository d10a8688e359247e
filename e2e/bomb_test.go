package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestHostileSizesStayWithinMemory sends lines and compressed bodies of sizes
// that nobody needs. What they make the server hold must not depend on them.
func TestHostileSizesStayWithinMemory(t *testing.T) {
	if unraced(t) {
		return
	}
	const (
		budget = 16 << 20  // LOG_SERVICE_MEMORY
		bodies = 256 << 20 // of appends in flight, see endpoint.DefaultBodyMemory
		base   = 128 << 20 // the program, its store, decoders, garbage not yet collected
	)
	size := int64(streamtest.Scale(80<<20, 96<<20, 1<<30))
	s := startServer(t, plainProgram(t), fmt.Sprint("LOG_SERVICE_MEMORY=", budget))
	if _, err := s.memory("VmHWM"); err != nil {
		t.Skip(err)
	}
	w := newWire(s.url)
	w.http.Timeout = 0
	if err := w.open(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	peak := func(what string) {
		t.Helper()
		rss, err := s.memory("VmHWM")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: peak RSS %d MiB", what, rss>>20)
		if most := int64(base + budget + bodies); rss > most {
			t.Errorf("%s: peak RSS is %d MiB, want at most %d", what, rss>>20, most>>20)
		}
	}
	overload := false // several at once may be too much, which is said, too
	send := func(method, path, encoding string, body io.Reader, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		resp, err := w.http.Do(req)
		if err != nil {
			if want == http.StatusRequestEntityTooLarge {
				return // hung up on in the middle of what is too much
			}
			t.Errorf("%s %s: %v", method, path, err)
			return
		}
		defer resp.Body.Close()
		if overload && resp.StatusCode == http.StatusServiceUnavailable {
			return
		}
		if resp.StatusCode != want {
			text, _ := io.ReadAll(resp.Body)
			t.Errorf("%s %s %s: %s %.200s, want %d", method, path, encoding, resp.Status, text, want)
		}
	}
	const stream, blob = "/stream?accountID=acc&key=k", "/blob?accountID=acc&key=b"

	send(http.MethodPut, stream, "", oneLine(size), http.StatusRequestEntityTooLarge)
	peak(fmt.Sprintf("an append of one line of %d MiB", size>>20))

	send(http.MethodPost, blob, "", oneLine(size), http.StatusNoContent)
	peak(fmt.Sprintf("an upload of one line of %d MiB", size>>20))
	count := 0
	tail := tailer{wire: w, key: "b", line: func(int64, []byte) error { count++; return nil }}
	if err := tail.run(t.Context()); err != nil || count == 0 {
		t.Errorf("following it: %d lines, %v", count, err)
	}
	peak("following it")

	for _, encoding := range []string{"gzip", "zstd"} {
		b := compressed(t, encoding, oneLine(size))
		overload = true
		var attackers errgroup.Group
		several := streamtest.Scale(1, 2, 8)
		for range several {
			attackers.Go(func() error {
				send(http.MethodPut, stream, encoding, bytes.NewReader(b), http.StatusRequestEntityTooLarge)
				return nil
			})
		}
		_ = attackers.Wait()
		overload = false
		peak(fmt.Sprintf("%d appends of %d KiB of %s that are %d MiB each", several, len(b)>>10, encoding, size>>20))
		send(http.MethodPost, blob, encoding, bytes.NewReader(b), http.StatusNoContent)
		peak("an upload of the same")
	}
	if next, err := w.push(t.Context(), "k", "", []string{`{"out":"x"}`}); err != nil || next != 2 {
		t.Errorf("an append after all that: %d, %v; want 2", next, err)
	}
	s.stop()
}

// oneLine is an array of one line of about n bytes.
func oneLine(n int64) io.Reader {
	return io.MultiReader(strings.NewReader(`[{"out":"`), io.LimitReader(letters{}, n), strings.NewReader(`"}]`))
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func compressed(t *testing.T, encoding string, r io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if encoding == "zstd" {
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
