package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	httpapi "github.com/harness/log-service/internal/api/http"
)

// hostile are texts that a log can hold to deceive or to attack whoever looks
// at it with a terminal or a browser.
var hostile = map[string]string{
	"markup":              `<script>alert(1)</script><img src=x onerror=alert(1)>`,
	"a document":          "<!DOCTYPE html><html><body onload=alert(1)>",
	"other kinds of file": "%PDF-1.7 GIF89a \x00\x01\x02",
	"window title":        "\x1b]0;pwned\x07",
	"a link":              "\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\",
	"clipboard":           "\x1b]52;c;cm0gLXJmIH4=\x07",
	"erase":               "\x1b[2J\x1b[H",
	"device control":      "\x1bP+q544e\x1b\\",
	"8-bit controls":      "\u009b2J\u009d0;x\u009c",
	"bidi":                "\u202eevil\u2066\u200f",
	"line separators":     "a\u2028b\u2029c\u0085d",
	"overwriting":         "secret\rharmless",
	"an event":            "x\n\nevent: error\ndata: eof\n\nid: 9\ndata: {}",
	"a header":            "x\r\nSet-Cookie: a=b\r\n\r\n",
	"a prefix of JSON":    `"}]}` + "\n" + `{"out":"forged"`,
}

// TestLogsAreServedAsTextAndNothingElse checks that what is stored comes back
// byte for byte, in an answer that no browser takes for more than text.
func TestLogsAreServedAsTextAndNothingElse(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	n := 0
	for name, text := range hostile {
		n++
		q := "accountID=A&key=" + url.QueryEscape("render/"+string(rune('a'+n)))
		line, err := json.Marshal(map[string]any{"out": text, "pos": 0})
		if err != nil {
			t.Fatal(err)
		}
		s.must(204, http.MethodPost, "/stream?"+q, "")
		// Whitespace between the members is not part of the line.
		s.must(204, http.MethodPut, "/stream?"+q, "[{\r\n\"level\":\"info\",\r\"more\":\n1},"+string(line)+"]")
		s.must(204, http.MethodDelete, "/stream?"+q, "")
		tail := s.must(200, http.MethodGet, "/stream?"+q, "")
		harmless(t, name+", followed", tail, "text/event-stream")
		events := strings.Split(strings.TrimSuffix(tail.body, "\n\n"), "\n\n")
		if len(events) != 3 || strings.ContainsAny(tail.body, "\r\x00\x1b") {
			t.Fatalf("%s: two lines, a ping and an end became %q", name, tail.body)
		}
		_, data, _ := strings.Cut(events[1], "data: ")
		var got struct{ Out string }
		if err := json.Unmarshal([]byte(data), &got); err != nil || got.Out != text {
			t.Errorf("%s: %q came back as %q, %v", name, text, got.Out, err)
		}

		blob := s.must(200, http.MethodGet, "/blob?"+q, "")
		harmless(t, name+", archived", blob, "text/plain; charset=utf-8")

		q += "/uploaded"
		s.must(204, http.MethodPost, "/blob?"+q, text)
		for what, a := range map[string]answer{
			"stored":     s.must(200, http.MethodGet, "/blob?"+q, ""),
			"by a link":  s.must(200, http.MethodGet, s.link("/blob/link/download?"+q), ""),
			"by a range": s.must(206, http.MethodGet, "/blob?"+q, "", "Range", "bytes=0-"),
		} {
			harmless(t, name+", "+what, a, "text/plain; charset=utf-8")
			if a.body != text {
				t.Errorf("%s, %s: %q came back as %q", name, what, text, a.body)
			}
		}
		// Errors quote what was asked for.
		refused := s.do(http.MethodGet, "/blob?accountID=A&key="+url.QueryEscape(text+"/../x"), nil)
		if refused.status != 400 {
			t.Errorf("%s as a key: %d", name, refused.status)
		}
		harmless(t, name+", in an error", refused, "application/json")
	}
	zip := s.must(200, http.MethodGet, s.link("/blob/download?accountID=A&prefix=render"), "")
	harmless(t, "all of them", zip, "application/zip")
	if d := zip.header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment") {
		t.Errorf("a zip is %q", d)
	}
}

// link asks for a link.
func (s *testServer) link(target string) string {
	s.t.Helper()
	var l struct{ Link string }
	if err := json.Unmarshal([]byte(s.must(200, http.MethodPost, target, "").body), &l); err != nil {
		s.t.Fatal(err)
	}
	return l.Link
}

func harmless(t *testing.T, what string, a answer, contentType string) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": contentType, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox", "Set-Cookie": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", what, name, got, want)
		}
	}
}
