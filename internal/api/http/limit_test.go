package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/service"
)

// bomb is size bytes of JSON lines, compressed to next to nothing.
func bomb(t *testing.T, encoding string, size int) string {
	t.Helper()
	row := []byte(`{"out":"` + strings.Repeat("a", 1<<16) + `"}` + "\n")
	var b bytes.Buffer
	var w interface {
		Write([]byte) (int, error)
		Close() error
	} = gzip.NewWriter(&b)
	if encoding == "zstd" {
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	for n := 0; n < size; n += len(row) {
		if _, err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatACompressedBodyBecomesIsLimited(t *testing.T) {
	const limit = 1 << 20
	s := startServer(t, httpapi.Config{MaxBody: limit, MaxUpload: limit})
	s.must(204, "POST", streamURL, "")
	for _, encoding := range []string{"gzip", "zstd"} {
		small, large := bomb(t, encoding, limit/2), bomb(t, encoding, 16*limit)
		if len(large) > limit/4 {
			t.Fatalf("%s: %d bytes are no bomb", encoding, len(large))
		}
		kind := []string{"Content-Encoding", encoding, "Content-Type", "application/x-ndjson"}
		s.must(204, "PUT", streamURL, small, kind...)
		s.must(413, "PUT", streamURL, large, kind...)
		s.must(204, "POST", "/blob?accountID=A&key=k", small, kind...)
		before := s.must(200, "GET", "/blob?accountID=A&key=k", "").body
		if a := s.must(413, "POST", "/blob?accountID=A&key=k", large, kind...); !strings.Contains(a.body, "at most 1048576 bytes, decompressed") {
			t.Errorf("answer %s", a.body)
		}
		if after := s.must(200, "GET", "/blob?accountID=A&key=k", "").body; after != before {
			t.Errorf("%s: a refused upload left %d bytes of %d", encoding, len(after), len(before))
		}
	}
}

func TestWhoeverIsAtALimitIsToldWhenToComeBack(t *testing.T) {
	s := startServer(t, httpapi.Config{}, service.Limits{Streams: 1})
	s.must(204, "POST", streamURL, "")
	a := s.must(503, "POST", "/stream?accountID=A&key=another", "")
	if a.header.Get("Retry-After") != "5" || !strings.Contains(a.body, `{"error_msg":"account A has 1 open streams already, as many as it may: close some","code":503,"reason":"limit"`) {
		t.Errorf("Retry-After %q, body %s", a.header.Get("Retry-After"), a.body)
	}
	s.must(204, "POST", streamURL, "")
	s.must(204, "POST", "/stream?accountID=B&key=k", "")
}
