package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/harness/log-service/internal/api/http/public"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/setting"
	"github.com/harness/log-service/internal/stream/redis"
)

func load(t *testing.T, kv ...string) (config.Config, []string, error) {
	t.Helper()
	env, err := config.Environ(kv, "", false)
	if err != nil {
		t.Fatal(err)
	}
	return config.Load(env.Env)
}

func TestNothingSetIsTheDefault(t *testing.T) {
	for _, kv := range [][]string{nil, {"LOG_SERVICE_HTTP_BIND=", "LOG_SERVICE_MEMORY="}, {"PATH=/bin"}} {
		c, warnings, err := load(t, kv...)
		if err != nil || len(warnings) != 0 {
			t.Fatalf("%q: %v, warnings %q", kv, err, warnings)
		}
		if diff := cmp.Diff(config.Default(), c, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%q: not the default:\n%s", kv, diff)
		}
		if !c.Loopback() {
			t.Errorf("the default address %s is reachable from outside", c.Bind)
		}
	}
}

func TestEverySettingReachesItsField(t *testing.T) {
	c, warnings, err := load(t,
		"LOG_SERVICE_HTTP_BIND=:9000", "LOG_SERVICE_HTTP_PROTO=https", "LOG_SERVICE_HTTP_HOST=logs.example.com:8443", "LOG_SERVICE_TRUSTED_PROXIES=10.0.0.0/8",
		"LOG_SERVICE_DISABLE_AUTH=true", "LOG_SERVICE_DATA=/var/lib/logs", "LOG_SERVICE_STREAM=memory",
		"LOG_SERVICE_MEMORY=1GiB", "LOG_SERVICE_MAX_LINE=64Ki", "LOG_SERVICE_MAX_BODY=8MB", "LOG_SERVICE_MAX_UPLOAD=1GiB",
		"LOG_SERVICE_ACCOUNT_MAX_STREAMS=5", "LOG_SERVICE_ACCOUNT_MAX_TAILS=0", "LOG_SERVICE_ACCOUNT_MAX_RATE=2MiB", "LOG_SERVICE_ACCOUNT_MAX_STORED=3GiB",
		"LOG_SERVICE_DEBUG_MODE=1", "LOG_SERVICE_TRACE=true", "LOG_SERVICE_ADMIN_BIND=127.0.0.1:8077", "LOG_SERVICE_STOP_DELAY=5s", "LOG_SERVICE_GRPC_BIND=:9001",
		"LOG_SERVICE_SECRET=secret-of-16-bytes", "LOG_SERVICE_OLD_SECRETS=old-secret-of-16-bytes, older-secret-of-16-bytes",
		"LOG_SERVICE_GLOBAL_TOKEN=global-of-16-bytes", "LOG_SERVICE_OLD_GLOBAL_TOKENS=old-global-of-16-bytes",
		"LOG_SERVICE_JWT_KEYS=a.pem,b.pem", "LOG_SERVICE_REVOKED_TOKENS=revoked", "LOG_SERVICE_QUERY_TOKENS=true",
		"LOG_SERVICE_TLS_CERT=c.pem", "LOG_SERVICE_TLS_KEY=k.pem", "LOG_SERVICE_TLS_CLIENT_CA=a.pem",
		"LOG_SERVICE_OIDC_ISSUER=https://issuer.example.com", "LOG_SERVICE_OIDC_AUDIENCE=logs", "LOG_SERVICE_OIDC_CLAIMS=owner=acme, kind=ci",
		"LOG_SERVICE_OIDC_ACCOUNT=acme", "LOG_SERVICE_OIDC_PREFIX=github/{repository}", "LOG_SERVICE_OIDC_VERBS=push")
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	want := config.Config{
		Bind: ":9000", AdminBind: "127.0.0.1:8077", StopDelay: 5 * time.Second, GRPCBind: ":9001", TLSCert: "c.pem", TLSKey: "k.pem", TLSClientCA: "a.pem", Proto: "https", Host: "logs.example.com:8443", Public: public.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, DisableAuth: true,
		Data: "/var/lib/logs", BoltPath: filepath.Join("/var/lib/logs", "blobs.db"), Stream: config.StreamMemory, Redis: config.Default().Redis,
		Memory: 1 << 30, MaxLine: 64 << 10, MaxBody: 8e6, MaxUpload: 1 << 30,
		AccountStreams: 5, AccountRate: 2 << 20, AccountStored: 3 << 30, Debug: true, Trace: true,
		Auth: auth.Config{
			Secret: "secret-of-16-bytes", OldSecrets: []setting.Secret{"old-secret-of-16-bytes", "older-secret-of-16-bytes"},
			GlobalToken: "global-of-16-bytes", OldGlobalTokens: []setting.Secret{"old-global-of-16-bytes"},
			JWTKeys: []string{"a.pem", "b.pem"}, RevokedTokens: "revoked", QueryTokens: true,
			OIDC: auth.OIDC{
				Issuer: "https://issuer.example.com", Audience: "logs", Claims: map[string]string{"owner": "acme", "kind": "ci"},
				Account: "acme", Prefix: "github/{repository}", Verbs: auth.Push,
			},
		},
	}
	if diff := cmp.Diff(want, c, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	c, _, err = load(t, "LOG_SERVICE_BOLT_PATH=/fast/blobs.db")
	if err != nil || c.BoltPath != "/fast/blobs.db" || c.Data != "data" {
		t.Errorf("BOLT_PATH: %+v, %v", c, err)
	}
}

func TestLinksOfATLSServerAreHTTPS(t *testing.T) {
	c, _, err := load(t, "LOG_SERVICE_TLS_CERT=c.pem", "LOG_SERVICE_TLS_KEY=k.pem")
	if err != nil || c.Proto != "https" {
		t.Error(c.Proto, err)
	}
	c, _, err = load(t, "LOG_SERVICE_TLS_CERT=c.pem", "LOG_SERVICE_TLS_KEY=k.pem", "LOG_SERVICE_HTTP_PROTO=http", "LOG_SERVICE_HTTP_HOST=x")
	if err != nil || c.Proto != "http" {
		t.Error("overridden:", c.Proto, err)
	}
}

func TestAnInvalidValueIsReportedWithNameValueAndRule(t *testing.T) {
	for _, tc := range []struct {
		set  []string
		want []string // parts of the message
	}{
		{[]string{"LOG_SERVICE_HTTP_BIND=8079"}, []string{"LOG_SERVICE_HTTP_BIND", `"8079"`, ":8079"}},
		{[]string{"LOG_SERVICE_HTTP_BIND=localhost:http"}, []string{`"http"`, "65535"}},
		{[]string{"LOG_SERVICE_HTTP_BIND=127.0.0.1:99999"}, []string{"99999"}},
		{[]string{"LOG_SERVICE_HTTP_BIND=http://localhost:1"}, []string{"host:port"}},
		{[]string{"LOG_SERVICE_ADMIN_BIND=:8077"}, []string{"LOG_SERVICE_ADMIN_BIND", `":8077"`, "loopback"}},
		{[]string{"LOG_SERVICE_GRPC_BIND=:9001"}, []string{"LOG_SERVICE_GRPC_BIND", `":9001"`, "no authentication"}},
		{[]string{"LOG_SERVICE_GRPC_BIND=none"}, []string{"LOG_SERVICE_GRPC_BIND", "host:port", "off"}},
		{[]string{"LOG_SERVICE_ADMIN_BIND=8077"}, []string{"LOG_SERVICE_ADMIN_BIND", "host:port"}},
		{[]string{"LOG_SERVICE_TLS_CERT=c"}, []string{"LOG_SERVICE_TLS_CERT", "LOG_SERVICE_TLS_KEY"}},
		{[]string{"LOG_SERVICE_TLS_KEY=k"}, []string{"LOG_SERVICE_TLS_KEY", "LOG_SERVICE_TLS_CERT"}},
		{[]string{"LOG_SERVICE_TLS_CLIENT_CA=a"}, []string{"LOG_SERVICE_TLS_CLIENT_CA", "LOG_SERVICE_TLS_CERT"}},
		{[]string{"LOG_SERVICE_ACCOUNT_MAX_TAILS=-1"}, []string{"LOG_SERVICE_ACCOUNT_MAX_TAILS", `"-1"`, "0 for no limit"}},
		{[]string{"LOG_SERVICE_STOP_DELAY=1m"}, []string{"LOG_SERVICE_STOP_DELAY", `"1m"`, "0s to 8s"}},
		{[]string{"LOG_SERVICE_HTTP_PROTO=ftp"}, []string{"LOG_SERVICE_HTTP_PROTO", `"ftp"`, "http or https"}},
		{[]string{"LOG_SERVICE_HTTP_PROTO=https"}, []string{"LOG_SERVICE_HTTP_PROTO", "LOG_SERVICE_HTTP_HOST"}},
		{[]string{"LOG_SERVICE_BASE_URL=ci.example.com"}, []string{"LOG_SERVICE_BASE_URL", "scheme://host"}},
		{[]string{"LOG_SERVICE_BASE_URL=https://ci.example.com/x", "LOG_SERVICE_HTTP_HOST=logs"}, []string{"LOG_SERVICE_HTTP_HOST", "LOG_SERVICE_BASE_URL"}},
		{[]string{"LOG_SERVICE_TRUSTED_PROXIES=all"}, []string{"LOG_SERVICE_TRUSTED_PROXIES", `"all"`, "loopback"}},
		{[]string{"LOG_SERVICE_HTTP_HOST=https://logs"}, []string{"host or host:port", "HTTP_PROTO"}},
		{[]string{"LOG_SERVICE_DISABLE_AUTH=yes"}, []string{"LOG_SERVICE_DISABLE_AUTH", `"yes"`, "true or false"}},
		{[]string{"LOG_SERVICE_STREAM=nats"}, []string{"disk or memory or redis"}},
		{[]string{"LOG_SERVICE_MEMORY=lots"}, []string{"LOG_SERVICE_MEMORY", `"lots"`, "64MiB"}},
		{[]string{"LOG_SERVICE_MEMORY=256"}, []string{"1MiB", "256 bytes"}},
		{[]string{"LOG_SERVICE_MAX_LINE=128MiB"}, []string{"1KiB to 64MiB"}},
		{[]string{"LOG_SERVICE_MAX_LINE=2MiB", "LOG_SERVICE_MAX_BODY=1MiB"}, []string{"LOG_SERVICE_MAX_LINE", "MAX_BODY is 1MiB"}},
		{[]string{"LOG_SERVICE_OIDC_CLAIMS=acme"}, []string{"name=value"}},
		{[]string{"LOG_SERVICE_OIDC_CLAIMS=a=1,a=2"}, []string{"a is there twice"}},
		{[]string{"LOG_SERVICE_OIDC_VERBS=fly"}, []string{`"fly"`, "push, tail, read"}},
		{[]string{"LOG_SERVICE_TRACE=2", "LOG_SERVICE_STREAM=x"}, []string{"LOG_SERVICE_TRACE", "LOG_SERVICE_STREAM"}},
	} {
		_, _, err := load(t, tc.set...)
		var bad *setting.Error
		if !errors.As(err, &bad) {
			t.Errorf("%q: error %v, want a *setting.Error", tc.set, err)
			continue
		}
		for _, part := range tc.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %q does not say %q", tc.set, err, part)
			}
		}
	}
}

func TestAReachableServerNeedsAuthenticationOrConsent(t *testing.T) {
	for _, bind := range []string{":8079", "0.0.0.0:8079", "[::]:8079", "192.0.2.1:8079", "logs.example.com:8079"} {
		if _, _, err := load(t, "LOG_SERVICE_HTTP_BIND="+bind); err == nil || !strings.Contains(err.Error(), bind) {
			t.Errorf("%s without authentication: error %v, want a refusal that names it", bind, err)
		}
		if _, _, err := load(t, "LOG_SERVICE_HTTP_BIND="+bind, "LOG_SERVICE_DISABLE_AUTH=true"); err != nil {
			t.Errorf("%s with DISABLE_AUTH: %v", bind, err)
		}
	}
	for _, bind := range []string{"127.0.0.1:0", "localhost:8079", "[::1]:8079", "127.9.9.9:1", "[::ffff:127.0.0.1]:80"} {
		if _, _, err := load(t, "LOG_SERVICE_HTTP_BIND="+bind); err != nil {
			t.Errorf("%s: %v", bind, err)
		}
	}
}

func TestWithAuthenticationTheServerIsReachable(t *testing.T) {
	for _, kv := range []string{"LOG_SERVICE_SECRET=a-secret-of-16-bytes", "LOG_SERVICE_JWT_KEYS=keys.pem"} {
		c, _, err := load(t, kv)
		if err != nil || c.Bind != ":8079" || !c.AuthOn() {
			t.Errorf("%s: bind %s, authentication %v, %v; want :8079, as clients of the first service expect", kv, c.Bind, c.AuthOn(), err)
		}
		if c, _, err := load(t, kv, "LOG_SERVICE_HTTP_BIND=127.0.0.1:1"); err != nil || c.Bind != "127.0.0.1:1" {
			t.Errorf("%s and an address: bind %s, %v", kv, c.Bind, err)
		}
		if c, _, err := load(t, kv, "LOG_SERVICE_DISABLE_AUTH=true"); err != nil || !c.Loopback() || c.AuthOn() {
			t.Errorf("%s, turned off: bind %s, authentication %v, %v", kv, c.Bind, c.AuthOn(), err)
		}
	}
}

func TestUnsafeTokenSettingsAreRefused(t *testing.T) {
	for _, c := range []struct {
		set  []string
		name string
	}{
		{[]string{"LOG_SERVICE_SECRET=keep-it"}, "LOG_SERVICE_SECRET"},
		{[]string{"LOG_SERVICE_GLOBAL_TOKEN=keep-it"}, "LOG_SERVICE_GLOBAL_TOKEN"},
		{[]string{"LOG_SERVICE_GLOBAL_TOKEN=a-global-token-of-16-bytes"}, "LOG_SERVICE_GLOBAL_TOKEN"},
		{[]string{"LOG_SERVICE_OIDC_VERBS=push"}, "LOG_SERVICE_OIDC_ISSUER"},
		{[]string{"LOG_SERVICE_SECRET=a-secret-of-16-bytes", "LOG_SERVICE_OLD_SECRETS=an-old-secret-of-16-bytes,keep-it"}, "LOG_SERVICE_OLD_SECRETS"},
		{[]string{"LOG_SERVICE_OLD_SECRETS=an-old-secret-of-16-bytes"}, "LOG_SERVICE_OLD_SECRETS"},
		{[]string{"LOG_SERVICE_SECRET=a-secret-of-16-bytes", "LOG_SERVICE_OLD_GLOBAL_TOKENS=an-old-token-of-16-bytes"}, "LOG_SERVICE_OLD_GLOBAL_TOKENS"},
		{[]string{"LOG_SERVICE_REVOKED_TOKENS=list"}, "LOG_SERVICE_REVOKED_TOKENS"},
		{[]string{"LOG_SERVICE_OIDC_AUDIENCE=logs"}, "LOG_SERVICE_OIDC_ISSUER"},
		{[]string{"LOG_SERVICE_OIDC_ISSUER=http://issuer.example.com"}, "LOG_SERVICE_OIDC_ISSUER"},
		{[]string{"LOG_SERVICE_OIDC_ISSUER=https://issuer.example.com"}, "LOG_SERVICE_OIDC_AUDIENCE"},
		{[]string{"LOG_SERVICE_OIDC_ISSUER=https://issuer.example.com", "LOG_SERVICE_OIDC_AUDIENCE=a"}, "LOG_SERVICE_OIDC_ACCOUNT"},
		{[]string{"LOG_SERVICE_OIDC_ISSUER=https://issuer.example.com", "LOG_SERVICE_OIDC_AUDIENCE=a", "LOG_SERVICE_OIDC_ACCOUNT=x", "LOG_SERVICE_OIDC_PREFIX={a}{b}"}, "LOG_SERVICE_OIDC_PREFIX"},
		{[]string{"LOG_SERVICE_OIDC_ISSUER=https://gitlab.com", "LOG_SERVICE_OIDC_AUDIENCE=a", "LOG_SERVICE_OIDC_ACCOUNT=x"}, "LOG_SERVICE_OIDC_CLAIMS"},
	} {
		_, _, err := load(t, c.set...)
		var bad *setting.Error
		if !errors.As(err, &bad) || bad.Name != c.name || strings.Contains(err.Error(), "keep-it") {
			t.Errorf("%q: %v; want %s refused, and no secret shown", c.set, err, c.name)
		}
		if _, _, err := load(t, append(c.set, "LOG_SERVICE_DISABLE_AUTH=true")...); err != nil {
			t.Errorf("%q, turned off: %v", c.set, err)
		}
	}
}

func TestNoMessageShowsASecret(t *testing.T) {
	c, _, err := load(t, "LOG_SERVICE_SECRET=keep-it-keep-it-keep-it", "LOG_SERVICE_GLOBAL_TOKEN=keep-it-keep-it-keep-it")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("settings", "config", c, "secret", c.Auth.Secret)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "config", c, "secret", c.Auth.Secret)
	fmt.Fprintf(&log, "%v %+v %#v %s %q", c, c, c, c.Auth.Secret, c.Auth.Secret)
	if strings.Contains(log.String(), "keep-it") {
		t.Errorf("a secret is shown: %s", log.String())
	}
}

func TestAnUnreadableFileIsReportedByLineNumberOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	for content, want := range map[string]string{
		"LOG_SERVICE_DATA=/x\nkeep-it keep-it\nLOG_SERVICE_SECRET=keep-it-keep-it\n": "line 2: want NAME=value",
		"# keep-it\nLOG_SERVICE_SECRET=\"keep-it-keep-it\nLOG_SERVICE_STREAM=disk\n": "line 2: want NAME=value",
		"keep-it":                             "line 1: want NAME=value",
		strings.Repeat("# keep-it\n", 30_000): "not a file of settings",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Environ(nil, file, false)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "keep-it") {
			t.Errorf("%.60q: %v, want %q and nothing of the content", content, err, want)
		}
	}
}

func TestRedisTakesTheStreams(t *testing.T) {
	c, warnings, err := load(t, "LOG_SERVICE_REDIS_ENDPOINT=redis://a:6379, b:6380", "LOG_SERVICE_REDIS_USERNAME=logs",
		"LOG_SERVICE_REDIS_PASSWORD=keep-it", "LOG_SERVICE_REDIS_SSL_ENABLED=true", "LOG_SERVICE_REDIS_SSL_CA_CERT_PATH=ca.pem",
		"LOG_SERVICE_REDIS_PREFIX=ci:", "LOG_SERVICE_REDIS_STREAM_MEMORY=8MiB", "LOG_SERVICE_REDIS_REPLICAS=1", "LOG_SERVICE_NODE=one")
	want := redis.Config{
		Addresses: []string{"a:6379", "b:6380"}, Username: "logs", Password: "keep-it", SSL: true, CACert: "ca.pem",
		Prefix: "ci:", StreamMemory: 8 << 20, Replicas: 1, Node: "one",
	}
	if diff := cmp.Diff(want, c.Redis); err != nil || diff != "" || c.Stream != config.StreamRedis || len(warnings) > 0 {
		t.Error(err, warnings, c.Stream, diff)
	}
	c, _, err = load(t, "LOG_SERVICE_REDIS_USE_SENTINEL=true", "LOG_SERVICE_REDIS_MASTER_NAME=logs",
		"LOG_SERVICE_REDIS_SENTINEL_ADDRS=a:1,b:1", "LOG_SERVICE_REDIS_SENTINEL_USERNAME=s", "LOG_SERVICE_REDIS_SENTINEL_PASSWORD=keep-it")
	if err != nil || c.Stream != config.StreamRedis || len(c.Redis.SentinelAddresses) != 2 || c.Redis.SentinelPassword != "keep-it" {
		t.Error(err, c.Redis)
	}
}

func TestMeaninglessRedisSettingsAreRefused(t *testing.T) {
	for _, tc := range []struct{ set, want []string }{
		{[]string{"LOG_SERVICE_STREAM=redis"}, []string{"LOG_SERVICE_STREAM", "LOG_SERVICE_REDIS_ENDPOINT"}},
		{[]string{"LOG_SERVICE_STREAM=disk", "LOG_SERVICE_REDIS_ENDPOINT=a:1"}, []string{"LOG_SERVICE_STREAM", `"disk"`}},
		{[]string{"LOG_SERVICE_REDIS_PASSWORD=keep-it"}, []string{"LOG_SERVICE_REDIS_ENDPOINT"}},
		{[]string{"LOG_SERVICE_REDIS_SSL_ENABLED=true"}, []string{"LOG_SERVICE_REDIS_ENDPOINT"}},
		{[]string{"LOG_SERVICE_REDIS_ENDPOINT=a"}, []string{"LOG_SERVICE_REDIS_ENDPOINT", `"a"`, "host:port"}},
		{[]string{"LOG_SERVICE_REDIS_ENDPOINT=u:keep-it@a:1"}, []string{"host:port", "@a:1"}},
		{[]string{"LOG_SERVICE_REDIS_ENDPOINT=redis://u:keep-it@keep-it@a:1"}, []string{"host:port"}},
		{[]string{"LOG_SERVICE_OIDC_ISSUER=http://u:keep-it@issuer.example"}, []string{"OIDC_ISSUER"}},
		{[]string{"LOG_SERVICE_HTTP_BIND=u:keep-it@h:1"}, []string{"HTTP_BIND"}},
		{[]string{"LOG_SERVICE_S3_BUCKET=b", "LOG_SERVICE_S3_REGION=r", "LOG_SERVICE_S3_PATH_STYLE=http://u:keep-it@h"}, []string{"PATH_STYLE"}},
		{[]string{"LOG_SERVICE_REDIS_USE_SENTINEL=true"}, []string{"REDIS_SENTINEL_ADDRS", "REDIS_MASTER_NAME"}},
		{[]string{"LOG_SERVICE_REDIS_ENDPOINT=a:1", "LOG_SERVICE_REDIS_MASTER_NAME=x"}, []string{"LOG_SERVICE_REDIS_USE_SENTINEL"}},
		{[]string{"LOG_SERVICE_REDIS_ENDPOINT=a:1", "LOG_SERVICE_REDIS_SSL_CA_CERT_PATH=x"}, []string{"REDIS_SSL_ENABLED"}},
		{[]string{"LOG_SERVICE_REDIS_PREFIX={a}"}, []string{"LOG_SERVICE_REDIS_PREFIX", "braces"}},
		{[]string{"LOG_SERVICE_REDIS_STREAM_MEMORY=1KiB"}, []string{"256KiB"}},
		{[]string{"LOG_SERVICE_REDIS_REPLICAS=11"}, []string{"0 to 10"}},
		{[]string{"LOG_SERVICE_NODE=a/b"}, []string{"LOG_SERVICE_NODE"}},
	} {
		_, _, err := load(t, tc.set...)
		if err == nil || strings.Contains(err.Error(), "keep-it") {
			t.Errorf("%q: %v", tc.set, err)
			continue
		}
		for _, want := range tc.want {
			var bad *setting.Error
			if !errors.As(err, &bad) || !strings.Contains(bad.Error()+bad.Hint, want) {
				t.Errorf("%q: %v, want it to name %s", tc.set, err, want)
			}
		}
	}
	if _, _, err := load(t, "LOG_SERVICE_REDIS_SSL_ENABLED=false", "LOG_SERVICE_REDIS_USE_SENTINEL=false"); err != nil {
		t.Error(err)
	}
}

func TestAnUnknownNameGetsAWarning(t *testing.T) {
	for kv, want := range map[string]string{
		"LOG_SERVICE_HTTP_BNID=:1":    "did you mean LOG_SERVICE_HTTP_BIND?",
		"LOG_SERVICE_MAXLINE=1":       "did you mean LOG_SERVICE_MAX_LINE?",
		"LOG_SERVICE_data=/x":         "did you mean LOG_SERVICE_DATA?",
		"LOG_SERVICE_XYZZYXYZZYXYZ=1": "LOG_SERVICE_XYZZYXYZZYXYZ is not a setting and has no effect",
	} {
		_, warnings, err := load(t, kv)
		if err != nil || len(warnings) != 1 || !strings.HasSuffix(warnings[0], want) {
			t.Errorf("%s: %q, %v; want one warning that ends %q", kv, warnings, err, want)
		}
	}
	for _, kv := range []string{
		"LOG_SERVICE_TOKEN=x", "LOG_SERVICE_SERVER=x", "OTHER=x",
		// Kubernetes sets these for a Service named log-service.
		"LOG_SERVICE_SERVICE_HOST=10.0.0.1", "LOG_SERVICE_SERVICE_PORT_HTTP=1", "LOG_SERVICE_PORT=tcp://10.0.0.1:1", "LOG_SERVICE_PORT_8079_TCP=x",
	} {
		if _, warnings, err := load(t, kv); err != nil || len(warnings) != 0 {
			t.Errorf("%s: %q, %v; want no warning", kv, warnings, err)
		}
	}
}

func TestTheRealEnvironmentWinsOverTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	content := "# a comment\nLOG_SERVICE_DATA=/from/file\nLOG_SERVICE_STREAM=memory\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := config.Environ([]string{"LOG_SERVICE_DATA=/from/env"}, file, true)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(env.Env)
	if err != nil || c.Data != "/from/env" || c.Stream != "memory" {
		t.Errorf("data %q, stream %q, %v", c.Data, c.Stream, err)
	}
	if os.Getenv("LOG_SERVICE_STREAM") != "" {
		t.Error("reading the file changed the process's environment")
	}
	if _, err := config.Environ(nil, file+"x", false); err != nil {
		t.Errorf("a file that need not exist: %v", err)
	}
	if _, err := config.Environ(nil, file+"x", true); err == nil {
		t.Error("a required file is missing, and no error")
	}
	if err := os.WriteFile(file, []byte("LOG_SERVICE_DATA='unclosed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Environ(nil, file, false); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a malformed file: %v, want an error that names it", err)
	}
}
