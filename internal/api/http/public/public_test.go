package public

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/setting"
)

// load returns the configuration of an environment.
func load(t *testing.T, env setting.Env) (c Config, err error) {
	t.Helper()
	return c, errors.Join(env.Load(c.Settings())...)
}

func TestTheAddressOfLinks(t *testing.T) {
	const prefix = "X-Forwarded-Prefix"
	for _, tc := range []struct {
		name    string
		env     setting.Env
		origin  string
		peer    string
		headers []string
		tls     bool
		want    string
	}{
		{name: "of the request", want: "http://logs:8079"},
		{name: "of the request, over TLS", tls: true, want: "https://logs:8079"},
		{name: "of a proxy that ends TLS", headers: []string{"X-Forwarded-Proto", "https"}, want: "https://logs:8079"},
		{name: "of two proxies", headers: []string{"X-Forwarded-Proto", "HTTPS, http"}, want: "https://logs:8079"},
		{name: "of a proxy that does not", headers: []string{"X-Forwarded-Proto", "http"}, tls: true, want: "http://logs:8079"},
		{name: "an unknown scheme", headers: []string{"X-Forwarded-Proto", "javascript"}, want: "http://logs:8079"},
		{name: "behind a path", headers: []string{prefix, "/gateway/log-service"}, want: "http://logs:8079/gateway/log-service"},
		{name: "with a slash", headers: []string{prefix, "/gateway/log-service/"}, want: "http://logs:8079/gateway/log-service"},
		{name: "the root", headers: []string{prefix, "/"}, want: "http://logs:8079"},
		{name: "behind two proxies", headers: []string{prefix, "/gateway, /log-service"}, want: "http://logs:8079/gateway/log-service"},
		{name: "in two headers", headers: []string{prefix, "/gateway", prefix, "/log-service"}, want: "http://logs:8079/gateway/log-service"},
		{name: "of the network by default", peer: "10.0.0.5:1", headers: []string{prefix, "/gateway"}, want: "http://logs:8079"},
		{name: "over IPv6", peer: "[::1]:1", headers: []string{prefix, "/gateway"}, want: "http://logs:8079/gateway"},
		{name: "IPv4 in IPv6", peer: "[::ffff:127.0.0.1]:1", headers: []string{prefix, "/gateway"}, want: "http://logs:8079/gateway"},
		{name: "of no proxy", env: setting.Env{"LOG_SERVICE_TRUSTED_PROXIES": "none"}, headers: []string{prefix, "/gateway"}, want: "http://logs:8079"},
		{name: "of a network", env: setting.Env{"LOG_SERVICE_TRUSTED_PROXIES": "10.1.0.0/16, 192.0.2.1"}, peer: "10.1.2.3:1", headers: []string{prefix, "/gateway"}, want: "http://logs:8079/gateway"},
		{name: "of an address", env: setting.Env{"LOG_SERVICE_TRUSTED_PROXIES": "10.1.0.0/16, 192.0.2.1"}, peer: "192.0.2.1:1", headers: []string{prefix, "/gateway"}, want: "http://logs:8079/gateway"},
		{name: "beside it", env: setting.Env{"LOG_SERVICE_TRUSTED_PROXIES": "10.1.0.0/16, 192.0.2.1"}, peer: "192.0.2.2:1", headers: []string{prefix, "/gateway"}, want: "http://logs:8079"},
		{name: "of private networks", env: setting.Env{"LOG_SERVICE_TRUSTED_PROXIES": "private"}, peer: "172.17.0.1:1", headers: []string{prefix, "/gateway"}, want: "http://logs:8079/gateway"},
		{name: "another host", headers: []string{prefix, "//evil.example.com"}, want: "http://logs:8079"},
		{name: "another user", headers: []string{prefix, "@evil.example.com"}, want: "http://logs:8079"},
		{name: "upwards", headers: []string{prefix, "/a/../b"}, want: "http://logs:8079"},
		{name: "a query", headers: []string{prefix, "/a?b=/c"}, want: "http://logs:8079"},
		{name: "one good, one bad", headers: []string{prefix, "/a,/b c"}, want: "http://logs:8079"},
		{name: "too long", headers: []string{prefix, "/" + strings.Repeat("a", maxPrefix)}, want: "http://logs:8079"},
		{name: "a setting", env: setting.Env{"LOG_SERVICE_BASE_URL": "https://ci.example.com/gateway/log-service/"}, headers: []string{prefix, "/x", "X-Forwarded-Proto", "http"}, want: "https://ci.example.com/gateway/log-service"},
		{name: "a host, and a path of a proxy", origin: "https://ci.example.com", headers: []string{prefix, "/x"}, want: "https://ci.example.com/x"},
	} {
		c, err := load(t, tc.env)
		if err != nil {
			t.Fatal(tc.name, err)
		}
		c.Origin = tc.origin
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/blob/link/upload", nil)
		r.Host, r.RemoteAddr = "logs:8079", "127.0.0.1:1234"
		if tc.peer != "" {
			r.RemoteAddr = tc.peer
		}
		if tc.tls {
			r.TLS = new(tls.ConnectionState)
		}
		for i := 0; i < len(tc.headers); i += 2 {
			r.Header.Add(tc.headers[i], tc.headers[i+1])
		}
		if got := c.URL(r); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestInvalidSettingsAreRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"BASE_URL":        {"ci.example.com/x", "/gateway", "ftp://x", "https://", "https://u:p@x", "https://x?y=1", "https://x#y", "https://x/a b", "https://x/../y"},
		"TRUSTED_PROXIES": {"everybody", "10.0.0.0/33", "10.0.0.1,,", "127.0.0.1:80"},
	} {
		for _, v := range values {
			if _, err := load(t, setting.Env{setting.Prefix + name: v}); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: %v", name, v, err)
			}
		}
	}
}
