package server_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// scrape returns the metrics at url, by name and labels.
func scrape(t *testing.T, url string) map[string]string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(url, resp.Status)
	}
	samples := map[string]string{}
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if i := strings.LastIndexByte(s.Text(), ' '); i > 0 && s.Text()[0] != '#' {
			samples[s.Text()[:i]] = s.Text()[i+1:]
		}
	}
	return samples
}

func TestMetricsCountTraffic(t *testing.T) {
	c := settings(t.TempDir())
	c.AdminBind = "127.0.0.1:0"
	srv := start(t, c)
	admin := "http://" + srv.AdminAddr().String()
	api := newClient(t, srv.URL())
	if err := api.Open(t.Context(), "a/secret-key"); err != nil {
		t.Fatal(err)
	}
	if _, err := api.AppendBody(t.Context(), "a/secret-key", client.Text, []byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	tail, err := http.Get(srv.URL() + "/stream?accountID=default&key=a/secret-key")
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(tail.Body)
	for line := ""; !strings.HasPrefix(line, "id: 2"); {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	open := scrape(t, admin+"/metrics")
	tail.Body.Close()
	if err := api.Close(t.Context(), "a/secret-key"); err != nil {
		t.Fatal(err)
	}
	before := scrape(t, admin+"/metrics")
	// Input made up by clients must not add series.
	for i, path := range []string{"/nothing", "/stream/other", "/stream?accountID=made-up&key=x"} {
		req, err := http.NewRequest([]string{"BREW", "GET", "PURGE"}[i], srv.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	after := scrape(t, srv.URL()+"/metrics")
	for name, want := range map[string]string{
		`log_service_http_requests_total{method="PUT",route="/stream",status="2xx"}`: "1",
		`log_service_http_requests_total{method="GET",route="/stream",status="2xx"}`: "1",
		`log_service_http_request_seconds_count{method="PUT",route="/stream"}`:       "1",
		"log_service_received_lines_total":                                           "2",
		"log_service_sent_lines_total":                                               "2",
		"log_service_tails":                                                          "0",
		"log_service_archived_total":                                                 "1",
		"log_service_wal_failures_total":                                             "0",
		"log_service_http_body_bytes":                                                "0",
		"log_service_http_bodies_refused_total":                                      "0",
	} {
		if before[name] != want {
			t.Errorf("%s is %q, want %s", name, before[name], want)
		}
	}
	if open["log_service_tails"] != "1" || open["log_service_streams"] != "1" {
		t.Errorf("with one stream and one tail: %s streams, %s tails", open["log_service_streams"], open["log_service_tails"])
	}
	if before["log_service_wal_commit_seconds_count"] == "0" {
		t.Error("no commit was counted")
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("requests of no route added the series %s", name)
		}
		if strings.Contains(name, "secret-key") || strings.Contains(name, "default") {
			t.Errorf("a label names a log: %s", name)
		}
	}
	if n := after[`log_service_http_requests_total{method="other",route="/stream",status="4xx"}`]; n != "1" {
		t.Errorf("PURGE /stream was counted %q times", n)
	}
	http.DefaultClient.CloseIdleConnections()
	srv.ended(t)
}

func TestTheDocumentationNamesEveryMetric(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	shared := settings(t.TempDir())
	shared.Stream = config.StreamRedis
	shared.Redis.Addresses = []string{redistest.Start(t).Addr}
	text := exposed(t, settings(t.TempDir())) + exposed(t, shared)
	families := regexp.MustCompile(`(?m)^# TYPE (log_service_\S+)`).FindAllStringSubmatch(text, -1)
	if len(families) < 15 {
		t.Errorf("only %d metrics", len(families))
	}
	for _, f := range families {
		if !strings.Contains(string(doc), "`"+f[1]+"`") {
			t.Errorf("docs/operations.md does not name %s", f[1])
		}
	}
	for _, m := range regexp.MustCompile("`(log_service_[a-z_]+)`").FindAllStringSubmatch(string(doc), -1) {
		if !strings.Contains(text, "# TYPE "+m[1]+" ") {
			t.Errorf("docs/operations.md names %s, which is no metric", m[1])
		}
	}
}

// exposed returns the metrics of a server with these settings after a stream has
// been opened.
func exposed(t *testing.T, c config.Config) string {
	t.Helper()
	srv := start(t, c)
	if err := newClient(t, srv.URL()).Open(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(srv.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Redis.Addresses) > 0 && strings.Contains(string(text), "\nlog_service_redis_call_seconds_count 0\n") {
		t.Error("no call of Redis was counted")
	}
	http.DefaultClient.CloseIdleConnections()
	srv.ended(t)
	return string(text)
}

func TestTheAdminListenerIsForThisMachine(t *testing.T) {
	c := settings(t.TempDir())
	c.AdminBind = "127.0.0.1:0"
	srv := start(t, c)
	addr := srv.AdminAddr().String()
	get := func(host, path string) int {
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		if got := get("", path); got != http.StatusOK {
			t.Errorf("GET %s: %d", path, got)
		}
		if got := get("evil.example", path); got != http.StatusForbidden {
			t.Errorf("GET %s for another host: %d, want 403", path, got)
		}
	}
	// Profiles must not be reachable on the public port.
	resp, err := http.Get(srv.URL() + "/debug/pprof/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("GET /debug/pprof/ on the main port: %s", resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	srv.ended(t)
}
