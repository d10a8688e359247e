package httpapi_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/logs"
)

// TestAWildcardIsOneSegmentOfAKey checks every route whose path names a log: no
// two paths name one log, and no path leaves its place in the tree of keys.
func TestAWildcardIsOneSegmentOfAKey(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	for _, r := range httpapi.Table() {
		wildcards := wildcard.FindAllString(r.Pattern, -1)
		for i := range wildcards {
			for _, hostile := range []string{
				"a%2Fb", "a%2f", "a%5Cb", "%5c..%5c", "%2e%2e", "%2E", "%00", "a%00", "a%0Ab", "%7F", "%C2%85", "%ff", strings.Repeat("a", 1025),
			} {
				segments := strings.Split(existing, "/")
				segments[i] = hostile
				target := fill(r.Pattern, strings.Join(segments, "/"))
				a := s.do(r.Method, target, strings.NewReader("[]"))
				if a.status != http.StatusBadRequest || !strings.Contains(a.body, `"reason":"invalid"`) {
					t.Errorf("%s %s: %d %s, want 400 invalid", r.Method, target, a.status, a.body)
				}
			}
			for _, raw := range []string{"", ".", "..", "%2F"} {
				segments := strings.Split(existing, "/")
				segments[i] = raw
				target := fill(r.Pattern, strings.Join(segments, "/"))
				if a := s.do(r.Method, target, strings.NewReader("[]")); a.status != http.StatusNotFound {
					t.Errorf("%s %s: %d %s, want 404", r.Method, target, a.status, a.body)
				}
			}
		}
	}
	live, err := s.service.List(t.Context(), logs.Filter{})
	if err != nil || len(live) > 0 {
		t.Errorf("live logs %v, %v; want none", live, err)
	}
	for e, err := range s.service.ListBlobs(t.Context(), "default", "") {
		t.Errorf("stored log %v, %v; want none", e, err)
	}
}

// TestTheLogOfRequestsNamesTheLogThatWasActedOn checks it for every dialect.
func TestTheLogOfRequestsNamesTheLogThatWasActedOn(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := httpapi.New(httpapi.Config{Service: startServer(t, httpapi.Config{}).service, Logger: logger})
	for _, tc := range []struct{ method, target, body, want string }{
		{"POST", "/stream?accountID=A&key=a/b", "", "account=A key=a/b"},
		{"GET", "/stream?accountID=A&key=a/none", "", "account=A key=a/none"},
		{"GET", "/blob?accountID=A&key=a/none", "", "account=A key=a/none"},
		{"DELETE", "/stream?accountID=A&key=c&keyList=a/b,b", "", "account=A key=a/b,b,c"},
		{"DELETE", "/stream?accountID=A&key=a/&prefix=true", "", "account=A key=a"},
		{"GET", "/stream/info?accountID=A&prefix=a", "", "account=A key=a"},
		{"GET", "/info/stream?prefix=a", "", `account="" key=a`},
		{"POST", "/blob/download?accountID=A&prefix=a", "", "account=A key=a"},
		{"GET", "/token?accountID=A", "", `account=A key=""`},
		{"GET", "/blob?accountID=A&key=..", "", "account=A key=.."},
		{"GET", "/link/download?accountID=A&key=a&expires=1&signature=x", "", "account=A key=a"},
		{"GET", "/stream?accountID=A&key=a&ticket=1.x", "", "account=A key=a"},
		{"POST", "/ci/1/2/3/4%20a/stream", "", `account=default key="1/2/3/4 a"`},
		{"GET", "/ci/1/2/3/4/blob?accountID=B&key=other", "", "account=B key=1/2/3/4"},
		{"GET", "/ci/streams?prefix=1", "", "account=default key=1"},
		{"POST", "/rpc/v2/step/7/logs/batch?accountID=A&key=k", "[]", "account=default key=drone/step/7"},
		{"GET", "/healthz?accountID=A&key=k", "", `account="" key=""`},
	} {
		log.Reset()
		r := httptest.NewRequestWithContext(t.Context(), tc.method, tc.target, strings.NewReader(tc.body))
		r.ProtoMinor = 0 // a tail ends with its request
		h.ServeHTTP(httptest.NewRecorder(), r)
		if line := strings.TrimSpace(log.String()) + " "; !strings.Contains(line, "msg=request") || !strings.Contains(line, " "+tc.want+" ") {
			t.Errorf("%s %s: want %s in %s", tc.method, tc.target, tc.want, line)
		}
	}
}
