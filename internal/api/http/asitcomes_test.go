package httpapi_test

import (
	"io"
	"strings"
	"testing"

	httpapi "github.com/harness/log-service/internal/api/http"
)

// writing is a PUT whose body is still open.
type writing struct {
	*io.PipeWriter
	t      testing.TB
	answer chan answer
}

func (s *testServer) write(target string, headers ...string) *writing {
	s.t.Helper()
	r, w := io.Pipe()
	out := &writing{w, s.t, make(chan answer, 1)}
	go func() {
		a, err := s.try("PUT", target, r, headers...)
		if err != nil {
			a.body = err.Error()
		}
		_ = r.CloseWithError(io.ErrClosedPipe) // nobody reads on
		out.answer <- a
	}()
	s.t.Cleanup(func() { _ = w.Close() })
	return out
}

func (w *writing) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Errorf("%q: %v", text, err)
	}
}

// ends closes the body and checks the answer.
func (w *writing) ends(status int, next string) answer {
	w.t.Helper()
	_ = w.Close()
	a := <-w.answer
	if a.status != status || a.header.Get("X-Log-Next-Sequence") != next {
		w.t.Errorf("answer %d %v %s, want %d and the next sequence %s", a.status, a.header, a.body, status, next)
	}
	return a
}

func TestABodyIsStoredAsItComes(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	for _, c := range []struct{ kind, body1, body2, rest, see1, see2 string }{
		{"text/plain", "one\ntw", "o\nthr", "ee", `"out":"one\n"`, `"out":"two\n"`},
		{"text/plain; charset=utf-8", "\xef\xbb\xbfone\r\n\xc3", "\xa9\n", "", `"out":"one\r\n"`, `"out":"é\n"`},
		{"application/x-ndjson", `{"out":"}\n\"{"}` + "\n" + `{"a":` + "\n", `[1,` + "\n" + `2]}` + "\n{", `"b":3}`, `{"out":"}\n\"{"}`, `{"a":[1,2]}`},
		{"application/jsonl", `{"a":1}` + "\n", "\n\n" + `{"b":2} {"c":3}` + "\n", "", `{"a":1}`, `{"b":2}`},
	} {
		target := streamURL + "-" + strings.NewReplacer("/", "-", ";", "-", " ", "", "=", "").Replace(c.kind)
		s.must(204, "POST", target, "")
		r := s.tail(target)
		w := s.write(target, "Content-Type", c.kind)
		w.send(c.body1)
		r.until(c.see1)
		w.send(c.body2)
		r.until(c.see2)
		w.send(c.rest)
		next := "3"
		if c.rest != "" || strings.Contains(c.body2, `"c"`) {
			next = "4"
		}
		w.ends(204, next)
	}
}

func TestABodyThatBreaksKeepsWhatIsStored(t *testing.T) {
	s := startServer(t, httpapi.Config{MaxBody: 4096})
	s.must(204, "POST", streamURL, "")
	r := s.tail(streamURL)
	w := s.write(streamURL, "Content-Type", "application/ndjson")
	w.send(`{"n":1}` + "\n")
	r.until(`{"n":1}`)
	w.send("nonsense\n")
	if a := w.ends(400, "2"); !strings.Contains(a.body, "the lines before are stored") {
		t.Error(a.body)
	}
	w = s.write(streamURL+"&offset=2", "Content-Type", "application/ndjson")
	w.send(`{"n":2}` + "\n")
	r.until(`{"n":2}`)
	w.send(`{"n":3}` + "\n")
	w.ends(204, "4")
	w = s.write(streamURL, "Content-Type", "text/plain")
	go func() { _, _ = io.WriteString(w, strings.Repeat("a line without an end ", 1000)) }()
	if a := <-w.answer; a.status != 413 {
		t.Errorf("%d %s", a.status, a.body)
	}
	w = s.write(streamURL, "Content-Type", "text/plain")
	w.send("last\n")
	r.until(`"last\n"`)
	s.must(204, "DELETE", streamURL, "")
	w.send("after the end\n")
	if a := <-w.answer; a.status != 400 || !strings.Contains(a.body, "stream: not found") {
		t.Errorf("a stream that was closed meanwhile: %d %s", a.status, a.body)
	}
	for _, kind := range []string{"text/plain", "application/x-ndjson", ""} {
		w = s.write(streamURL, "Content-Type", kind)
		if kind == "" {
			w.send(" \n hello")
		}
		if a := <-w.answer; a.status != 400 {
			t.Errorf("%q: an open body for no stream, or of no array: %d %s", kind, a.status, a.body)
		}
	}
}

// A body of unknown length that arrives at once is one batch, so that its retry is
// recognized.
func TestABodyThatArrivesAtOnceIsOneBatch(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	body := strings.Repeat(`{"pos":1,"out":"x","time":"2026-01-02T15:04:05.1Z"}`+"\n", 500)
	for range 2 {
		w := s.write(streamURL, "Content-Type", "application/x-ndjson")
		w.send(body)
		w.ends(204, "501")
	}
	w := s.write(streamURL, "Content-Type", "text/plain")
	w.ends(204, "501")
}

func TestBodiesNameTheirForm(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	for _, kind := range []string{"application/x-ndjson", "application/ndjson", "application/jsonl", "Application/JSONL; charset=utf-8"} {
		s.must(204, "PUT", streamURL, "\xef\xbb\xbf{\"out\":\"x\"}\n{}\n", "Content-Type", kind)
	}
	s.must(204, "PUT", streamURL, "\xef\xbb\xbf[{\"out\":\"\\ud800\"}]")
	s.must(204, "DELETE", streamURL, "")
	if got := s.must(200, "GET", "/blob?accountID=A&key=k", "").body; !strings.HasSuffix(got, "{\"out\":\"\\ufffd\"}\n") || strings.Count(got, "\n") != 9 {
		t.Errorf("stored %q", got)
	}
	s.must(204, "POST", streamURL, "")
	for _, kind := range []string{"", "application/x-www-form-urlencoded", "application/json", "application/octet-stream"} {
		for _, body := range []string{"hello", "[INFO] hello", "{\"out\":\"x\"}\n", "nullable"} {
			a := s.must(400, "PUT", streamURL, body, "Content-Type", kind)
			if !strings.Contains(a.body, "Content-Type: text/plain") || !strings.Contains(a.body, "application/x-ndjson") {
				t.Errorf("%s, %q: %s", kind, body, a.body)
			}
		}
	}
}

// until reads up to a line that contains text.
func (r *tailer) until(text string) {
	r.t.Helper()
	var got strings.Builder
	for b := make([]byte, 1); !strings.Contains(got.String(), text); {
		if _, err := io.ReadFull(r.body, b); err != nil {
			r.t.Fatalf("got %q, %v; want %q in it", got.String(), err, text)
		}
		got.WriteByte(b[0])
	}
}
