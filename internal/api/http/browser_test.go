package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/api/http/public"
	"github.com/harness/log-service/internal/auth"
)

// send sends a request with another Host.
func (s *testServer) send(method, target, host string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = host
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	return answer{status: resp.StatusCode, header: resp.Header}
}

// Without authentication the pages of other sites can neither read nor change logs;
// programs, the server's own pages and links that people follow work.
func TestPagesOfOtherSitesAreRefusedWithoutAuthentication(t *testing.T) {
	const evil = "https://evil.example"
	s := startServer(t, httpapi.Config{Loopback: true})
	s.must(204, "POST", streamURL, "")
	s.must(204, "PUT", streamURL, `[{"out":"x"}]`)
	local := strings.TrimPrefix(s.url, "http://")
	same := "http://" + local
	read := "/stream?accountID=A&key=none&follow=false"
	for name, tc := range map[string]struct {
		method, target, host string
		headers              []string
		want                 int
	}{
		"a program":                    {"GET", read, local, nil, 200},
		"a program, localhost":         {"GET", read, "localhost:8079", nil, 200},
		"a program, IPv6":              {"GET", read, "[::1]:8079", nil, 200},
		"a name below localhost":       {"GET", read, "logs.localhost", nil, 200},
		"the server's page":            {"GET", read, local, []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, 200},
		"its write":                    {"DELETE", "/blob?accountID=A&key=none", local, []string{"Origin", same, "Sec-Fetch-Site", "same-origin"}, 204},
		"its write, an old browser":    {"DELETE", "/blob?accountID=A&key=none", local, []string{"Origin", same}, 204},
		"its write, behind a proxy":    {"DELETE", "/blob?accountID=A&key=none", "localhost", []string{"Origin", "https://logs.example.com", "Sec-Fetch-Site", "same-origin"}, 204},
		"the address bar":              {"GET", read, local, []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		"a link of another site":       {"GET", read, local, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		"a frame of another site":      {"GET", read, local, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		"a script of another site":     {"GET", read, local, []string{"Origin", evil, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, 403},
		"the same, an old browser":     {"GET", read, local, []string{"Origin", evil}, 403},
		"an image of another site":     {"GET", read, local, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403},
		"another port of this host":    {"GET", read, local, []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"}, 403},
		"a form of another site":       {"POST", "/stream?accountID=A&key=k&truncate=true", local, []string{"Origin", evil, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
		"a write without CORS":         {"POST", "/blob?accountID=A&key=k", local, []string{"Origin", evil, "Content-Type", "text/plain"}, 403},
		"a page without an origin":     {"POST", "/blob?accountID=A&key=k", local, []string{"Origin", "null"}, 403},
		"a name of this network":       {"GET", read, "logs:8079", nil, 200},
		"a name that leads here":       {"GET", read, "evil.example", nil, 421},
		"the same, with our port":      {"GET", read, "evil.example:8079", []string{"Origin", "http://evil.example:8079", "Sec-Fetch-Site", "same-origin"}, 421},
		"a name like ours":             {"GET", read, "localhost.evil.example", nil, 421},
		"an address that is not ours":  {"GET", read, "192.0.2.1", nil, 421},
		"the probe of a load balancer": {"GET", "/healthz", "10.0.0.1", nil, 200},
		"CI's spelling":                {"GET", "/ci/p/1/s/t/stream", local, []string{"Origin", evil}, 403},
		"Drone's spelling":             {"POST", "/rpc/v2/step/1/logs/batch", local, []string{"Origin", evil}, 403},
		"a preflight":                  {"OPTIONS", "/blob", local, []string{"Origin", evil, "Access-Control-Request-Method", "DELETE"}, 204},
	} {
		a := s.send(tc.method, tc.target, tc.host, tc.headers...)
		if a.status != tc.want {
			t.Errorf("%s: %d, want %d", name, a.status, tc.want)
		}
		if h := a.header.Get("Access-Control-Allow-Origin"); h != "" {
			t.Errorf("%s: Access-Control-Allow-Origin %s", name, h)
		}
	}
	if got := s.do("GET", "/stream/info?accountID=A", nil); !strings.Contains(got.body, `"size":1`) && got.status != 200 {
		t.Errorf("after all of this: %d %s", got.status, got.body)
	}
}

// LOG_SERVICE_CORS_ORIGINS names the sites that may, with authentication and without.
func TestSitesThatMayUseTheServer(t *testing.T) {
	const ours, other = "https://ci.example.com", "https://evil.example"
	v := newVerifier(t)
	for name, tc := range map[string]struct {
		auth           *auth.Verifier
		origins        []string
		allows, others string // Access-Control-Allow-Origin
		refused        int    // what the other site gets without a token
	}{
		"no authentication":               {nil, nil, "", "", 403},
		"no authentication, one site":     {nil, []string{ours}, ours, "", 403},
		"no authentication, all sites":    {nil, []string{"*"}, "*", "*", 200},
		"with authentication":             {v, nil, "*", "*", 400},
		"with authentication, one site":   {v, []string{ours}, ours, "", 400},
		"with authentication, every site": {v, []string{"*"}, "*", "*", 400},
	} {
		s := startServer(t, httpapi.Config{Auth: tc.auth, Public: public.Config{Origins: tc.origins}})
		for origin, want := range map[string]string{ours: tc.allows, other: tc.others} {
			for _, method := range []string{"OPTIONS", "GET"} {
				a := s.send(method, "/stream?accountID=A&key=none&follow=false", "logs.example.com", "Origin", origin, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors")
				if got := a.header.Get("Access-Control-Allow-Origin"); got != want {
					t.Errorf("%s: %s from %s: Access-Control-Allow-Origin %q, want %q", name, method, origin, got, want)
				}
				if vary := strings.Join(a.header.Values("Vary"), ", "); want != "" && want != "*" && !strings.Contains(vary, "Origin") {
					t.Errorf("%s: %s: Vary %q", name, method, vary)
				}
				if method == "GET" && origin == other && a.status != tc.refused {
					t.Errorf("%s: %d, want %d", name, a.status, tc.refused)
				}
			}
		}
	}
}

// No shared cache may keep what depends on a token.
func TestSharedCachesKeepNothing(t *testing.T) {
	m := newMatrix(t, httpapi.Config{})
	m.fill()
	for _, r := range httpapi.Table() {
		for _, headers := range [][]string{nil, {"X-Harness-Token", m.cookie("A", 1e12, testSecret)}} {
			for _, method := range methodsOf(r) {
				a := m.do(method, strings.NewReplacer("{", "", "}", "").Replace(r.Pattern)+"?accountID=A&key=none&follow=false", nil, headers...)
				if c := a.header.Get("Cache-Control"); c != "private, no-cache" && c != "no-store" || a.status >= 400 && c != "no-store" {
					t.Errorf("%s %s: %d, Cache-Control %q", method, r.Pattern, a.status, c)
				}
				if vary := strings.Join(a.header.Values("Vary"), ", "); r.Needs != auth.Public && !strings.Contains(vary, "Authorization, X-Harness-Token") {
					t.Errorf("%s %s: Vary %q", method, r.Pattern, vary)
				}
			}
		}
	}
}
