package httpapi_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/apitest"
	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/api/http/endpoint"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testServer is the whole service on a real listener.
type testServer struct {
	t       testing.TB
	url     string
	client  *http.Client
	service *service.Service
}

// startServer starts a server over a durable engine and a bolt store. The
// service and the log of c are set.
func startServer(t testing.TB, c httpapi.Config, limits ...service.Limits) *testServer {
	t.Helper()
	return startServerOver(t, stream.Config{Dir: t.TempDir()}, c, limits...)
}

// startServerOver is startServer over another engine.
func startServerOver(t testing.TB, engine stream.Config, c httpapi.Config, limits ...service.Limits) *testServer {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	if c.Logger == nil {
		c.Logger = quiet
	}
	rules := service.Config{LinkKey: []byte(strings.Repeat("k", 32))}
	for _, l := range limits {
		rules.Limits = l
	}
	c.Service = apitest.Run(t, engine, rules)

	tails := new(endpoint.Tails)
	c.Tails = tails
	server := httptest.NewServer(httpapi.New(c))
	transport := &http.Transport{DisableCompression: true}
	s := &testServer{t: t, url: server.URL, service: c.Service, client: &http.Client{
		Transport:     transport,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
		tails.Wait()
	})
	return s
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers come as name, value, name, value.
func (s *testServer) do(method, target string, body io.Reader, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(method, target, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (s *testServer) try(method, target string, body io.Reader, headers ...string) (answer, error) {
	if strings.HasPrefix(target, "/") {
		target = s.url + target
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	s.hangUp(resp)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// hangUp lets the connection of a tail go once it has been read. The server
// closes it, and a request that is not repeated automatically must not be sent just
// as it does.
func (s *testServer) hangUp(resp *http.Response) {
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		s.client.CloseIdleConnections()
	}
}

// must sends a request that must be answered with status.
func (s *testServer) must(status int, method, target, body string, headers ...string) answer {
	s.t.Helper()
	a := s.do(method, target, strings.NewReader(body), headers...)
	if a.status != status {
		s.t.Fatalf("%s %s: %d %s, want %d", method, target, a.status, a.body, status)
	}
	return a
}

// serviceHandler is the handler of a service over an engine in memory, with
// an open stream A, k.
func serviceHandler(b *testing.B, v *auth.Verifier) http.Handler {
	b.Helper()
	quiet := slog.New(slog.DiscardHandler)
	engine, err := stream.Open(stream.Config{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = engine.Stop() })
	service := service.New(service.Config{Streams: engine, Logger: quiet})
	if err := service.Open(b.Context(), logservice.ID{Account: "A", Key: "k"}, logs.OpenOptions{}); err != nil {
		b.Fatal(err)
	}
	return httpapi.New(httpapi.Config{Service: service, Logger: quiet, Auth: v})
}
