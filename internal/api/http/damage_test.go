package httpapi_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	httpapi "github.com/harness/log-service/internal/api/http"
)

// cutLog is a log of two lines, compressed and without its last bytes.
func cutLog() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte("hello\nworld\n"))
	_ = w.Close()
	return b.String()[:24]
}

const (
	damagedURL = "A&key=1/2/3/4"
	endMark    = "event: error\ndata: eof\n\n"
)

func TestTheTailOfADamagedLogEnds(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", "/blob?accountID="+damagedURL, cutLog())
	for _, target := range []string{"/stream?accountID=" + damagedURL, "/ci/1/2/3/4/stream?accountID=A"} {
		got := s.must(200, "GET", target, "")
		events := strings.SplitAfter(got.body, "\n\n")
		mark := events[len(events)-3]
		if !strings.HasPrefix(events[0], ping+"id: 1\ndata: {") || !strings.HasSuffix(got.body, "}\n\n"+endMark) || got.header.Get("X-Log-State") != "archived" ||
			!strings.Contains(mark, `{"gap":{"first":3,"last":3,"damage":"gzip: it ends early","rest":true},`) || strings.Count(got.body, `"gap"`) != 1 {
			t.Errorf("%s: %v\n%s", target, got.header, got.body)
		}
		for after, rest := range map[string]string{"2": mark + endMark, "3": endMark} {
			if again := s.must(200, "GET", target, "", "Last-Event-ID", after); again.body != ": ping\n"+rest {
				t.Errorf("%s after %s: %s", target, after, again.body)
			}
		}
	}
}

func TestADamagedLogIsDownloadedWithItsMark(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", "/blob?accountID="+damagedURL, cutLog())
	for _, target := range []string{"/blob?accountID=" + damagedURL, "/ci/1/2/3/4/blob?accountID=A"} {
		got := s.must(200, "GET", target, "")
		if !strings.HasPrefix(got.body, "hello\nw") || !strings.Contains(got.body, "\n"+`{"gap":{"first":3,"last":3,"damage":"gzip: it ends early","rest":true},`) {
			t.Errorf("%s: %v\n%s", target, got.header, got.body)
		}
		// Who can unpack it gets what is stored.
		if got := s.must(200, "GET", target, "", "Accept-Encoding", "gzip"); got.body != cutLog() || got.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %v\n%q", target, got.header, got.body)
		}
	}
	const text = "\x1f\x8b\x08 is how gzip begins\n"
	s.must(204, "POST", "/blob?accountID=A&key=text", text)
	if got := s.must(200, "GET", "/blob?accountID=A&key=text", "", "Accept-Encoding", "gzip"); got.body != text || got.header.Get("Content-Encoding") != "" {
		t.Errorf("%v\n%q", got.header, got.body)
	}
}

func TestDamageOfTheStoreIsNoErrorThatMayPass(t *testing.T) {
	dir := filepath.Dir(t.TempDir()) // that of the store is in it
	s := startServer(t, httpapi.Config{})
	var lines bytes.Buffer
	for i := range 300_000 {
		lines.WriteString(strconv.Itoa(i) + "\n")
	}
	const target = "/blob?accountID=A&key=k"
	s.must(204, "POST", target, lines.String())
	files, err := filepath.Glob(filepath.Join(dir, "*", "blobs", "*.blob"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	stored, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	stored[len(stored)/2] ^= 1
	if err := os.WriteFile(files[0], stored, 0o600); err != nil {
		t.Fatal(err)
	}
	// A client's bytes are never mixed with others: the answer is cut, but not
	// before what can be read.
	got, err := s.try("GET", target, nil)
	n := len(got.body)
	if err == nil || got.status != 200 || n == 0 || n%(256<<10) != 0 || got.body != lines.String()[:n] {
		t.Fatalf("%d, %d bytes, %v", got.status, n, err)
	}
	again := s.must(410, "GET", target, "", "Range", "bytes="+strconv.Itoa(n)+"-")
	if !strings.Contains(again.body, `"reason":"damaged"`) || strings.Contains(again.body, dir) || again.header.Get("Retry-After") != "" {
		t.Error(again.body)
	}
	rest := s.must(206, "GET", target, "", "Range", "bytes="+strconv.Itoa(n+256<<10)+"-")
	if rest.body != lines.String()[n+256<<10:] {
		t.Errorf("%d bytes after the damage", len(rest.body))
	}
	if tail := s.must(200, "GET", "/stream?accountID=A&key=k", ""); !strings.HasSuffix(tail.body, endMark) || !strings.Contains(tail.body, "the store cannot read it") {
		t.Errorf("%d bytes", len(tail.body))
	}
	// Nothing of it can be read.
	if err := os.Truncate(files[0], 10); err != nil {
		t.Fatal(err)
	}
	s.must(410, "GET", target, "")
	s.must(200, "GET", "/blob/exists?accountID=A&key=k", "")
	if tail := s.must(200, "GET", "/stream?accountID=A&key=k", ""); !strings.Contains(tail.body, "id: 1\ndata: {\"gap\":") || !strings.HasSuffix(tail.body, endMark) {
		t.Error(tail.body)
	}
}
