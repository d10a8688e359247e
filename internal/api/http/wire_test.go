package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/service"
)

// What real clients send that no client should.

func TestAnOddPositionIsTheStart(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", "/blob?accountID=A&key=k", `{"out":"one"}`+"\n"+`{"out":"two"}`+"\n")
	all := ping + event(1, `{"out":"one"}`) + event(2, `{"out":"two"}`) + endMark
	after1 := ping + event(2, `{"out":"two"}`) + endMark
	for position, want := range map[string]string{
		"abc": all, "-1": all, "12345678901234567890": all, "   ": all, "1 2": all, "é": all, "\u2028": all, "1.5": all, "0x1": all, "+1": all,
		"1-": all, "-": all, "1-1-1": all, "null": all, "undefined": all, "[object Object]": all, "0": all, "1": after1, "1-1": after1,
	} {
		for _, place := range []string{"Last-Event-ID", "lastEventId", "after"} {
			target, headers := streamURL+"&"+place+"="+url.QueryEscape(position), []string(nil)
			if place == "Last-Event-ID" {
				target, headers = streamURL, []string{place, position}
			}
			if got := s.must(200, "GET", target, "", headers...); got.body != want {
				t.Errorf("%s %q: %q, want %q", place, position, got.body, want)
			}
		}
	}
	// The first position that is present applies, odd or not.
	if got := s.must(200, "GET", streamURL+"&after=1", "", "Last-Event-ID", "abc"); got.body != all {
		t.Errorf("an odd header, and a parameter: %q", got.body)
	}
}

func TestAReaderOverALimitIsAskedToComeBack(t *testing.T) {
	s := startServer(t, httpapi.Config{}, service.Limits{Tails: 1})
	s.must(204, "POST", streamURL, "")
	r := s.tail(streamURL)
	r.sees(ping)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := s.must(200, method, streamURL, "")
		want := ping + ": account A has 1 readers already, as many as it may\nretry: 5000\n"
		if method == http.MethodHead {
			want = ""
		}
		if a.body != want || a.header.Get("Content-Type") != "text/event-stream" || a.header.Get("Retry-After") != "5" || strings.Contains(a.body, "eof") {
			t.Errorf("%s: %q, %v", method, a.body, a.header)
		}
	}
}

func TestAnOpenWithLinesIsRefused(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	for _, body := range []string{`[{"out":"x"}]`, `{"out":"x"}`, "x", `[1]`, strings.Repeat(" ", 600) + "x", strings.Repeat("x", 100_000), "\x1f\x8b\x08"} {
		a := s.must(400, "POST", streamURL, body)
		if !strings.Contains(a.body, "use PUT") {
			t.Errorf("%.20q: %s", body, a.body)
		}
	}
	s.must(404, "DELETE", streamURL, "") // nothing was opened
	for _, body := range []string{"", "\n", "null", " [] \n", "{}", `""`} {
		s.must(204, "POST", streamURL, body)
	}
}

func TestASlashAtTheEndDoesNotMatter(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	for _, r := range httpapi.Table() {
		if r.Method == http.MethodGet && r.Needs != 0 {
			continue // tails do not end
		}
		target := strings.NewReplacer("{", "", "}", "").Replace(r.Pattern)
		if a := s.do(r.Method, target+"/", nil); strings.Contains(a.body, "no such route") || a.status == 405 {
			t.Errorf("%s %s/: %d %s", r.Method, target, a.status, a.body)
		}
	}
	s.must(204, "POST", "/stream/?accountID=A&key=a/b", "")
	s.must(204, "PUT", "/stream//?accountID=A&key=a/b", `[{"out":"x"}]`)
	s.must(204, "POST", "/ci/1/2/3/%C3%A9/stream/", "")
	s.must(204, "PUT", s.url+"//stream?accountID=A&key=a/b", `[{"out":"x"}]`) // the address of the server ends in a slash
	s.must(404, "GET", "/ci//stream?accountID=A", "")
	s.must(204, "OPTIONS", s.url+"//stream/", "")
	s.must(404, "GET", "/", "")
}

func TestWithoutAuthenticationCredentialsDoNotMatter(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL+"&X-Harness-Token=c", "", "X-Harness-Token", "a", "Authorization", "Bearer b")
}
