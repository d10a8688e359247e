package httpapi_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	httpapi "github.com/harness/log-service/internal/api/http"
)

func TestAnArchiveIsSentAsItIsStoredToWhoCanReadIt(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	s.must(204, "PUT", streamURL, string(manyLines(20_000)))
	s.must(204, "DELETE", streamURL, "")
	const blob = "/blob?accountID=A&key=k"

	plain := s.must(200, "GET", blob, "")
	if strings.Count(plain.body, "\n") != 20_000 || plain.header.Get("Content-Encoding") != "" || !slices.Contains(plain.header.Values("Vary"), "Accept-Encoding") {
		t.Errorf("%d bytes, %v", len(plain.body), plain.header)
	}
	packed := s.must(200, "GET", blob, "", "Accept-Encoding", "gzip, zstd")
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	unpacked, err := z.DecodeAll([]byte(packed.body), nil)
	if err != nil || string(unpacked) != plain.body || packed.header.Get("Content-Encoding") != "zstd" || len(packed.body) > len(plain.body)/4 {
		t.Errorf("%d bytes became %d, %v, %v", len(packed.body), len(unpacked), packed.header, err)
	}
	// A range is one of the text.
	part := s.must(206, "GET", blob, "", "Accept-Encoding", "zstd", "Range", "bytes=500000-500099")
	if part.body != plain.body[500_000:500_100] || part.header.Get("Content-Encoding") != "" {
		t.Errorf("%q, %v", part.body, part.header)
	}
	head := s.must(200, "HEAD", blob, "")
	if head.body != "" || head.header.Get("Content-Length") != plain.header.Get("Content-Length") {
		t.Errorf("%q, %v", head.body, head.header)
	}
}

func TestAZipHoldsTheLogsBelowItsPrefix(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", "/blob?accountID=A&key=run:1/a", "one\n")
	s.must(204, "POST", "/blob?accountID=A&key=run:1/b", "two\n")
	s.must(204, "POST", "/blob?accountID=A&key=run:10/a", "not this\n")
	s.must(204, "POST", "/blob?accountID=B&key=run:1/c", "nor this\n")
	var link struct{ Link string }
	if err := json.Unmarshal([]byte(s.must(200, "POST", "/blob/download?accountID=A&prefix=run:1/", "").body), &link); err != nil {
		t.Fatal(err)
	}
	got := s.must(200, "GET", link.Link, "")
	z, err := zip.NewReader(strings.NewReader(got.body), int64(len(got.body)))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&text, r); err != nil {
			t.Fatal(err)
		}
	}
	if text.String() != "one\ntwo\n" {
		t.Errorf("%q", text.String())
	}
}

func TestUploadsMayBeCompressed(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	want := strings.Repeat("a line of a log\n", 10_000)
	for encoding, body := range map[string][]byte{"gzip": gzipped(t, []byte(want)), "zstd": zstded(t, []byte(want))} {
		const blob = "/blob?accountID=A&key=k"
		if a := s.do("POST", blob, bytes.NewReader(body), "Content-Encoding", encoding); a.status != 204 {
			t.Fatal(encoding, a.status, a.body)
		}
		// One that breaks off leaves what is there.
		if a := s.do("POST", blob, bytes.NewReader(body[:len(body)/2]), "Content-Encoding", encoding); a.status != 400 {
			t.Error(encoding, a.status, a.body)
		}
		if a := s.must(200, "GET", blob, ""); a.body != want {
			t.Errorf("%s: %d bytes, want %d", encoding, len(a.body), len(want))
		}
	}
}
