package s3_test

import (
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"go.uber.org/goleak"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/s3"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/store/storetest"
)

// fewerChecks is for models whose steps are one or two requests each: a tenth
// of the usual runs.
func fewerChecks(t *testing.T) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if err := f.Value.Set("10"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}

func settings(srv *s3test.Server, bucket string) s3.Config {
	return s3.Config{
		Bucket: bucket, Endpoint: srv.Endpoint(), Addressing: s3.Paths,
		AccessKeyID: s3test.AccessKey, SecretAccessKey: s3test.SecretKey, Logger: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, c s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	fewerChecks(t)
	for _, kind := range s3test.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			ignore := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
			srv := s3test.Run(t, kind)
			storetest.Run(t, func(t *testing.T) logs.Store {
				c := settings(srv, srv.Bucket(t))
				// One with each value of Checksum; the other is below.
				c.Prefix, c.Checksum = "/some/prefix/", kind == s3test.MinIO
				return open(t, c)
			}, storetest.Limits{ReadersEnd: true, ListsSizes: true})
		})
	}
}

func TestTheChecksumSettingDeterminesWhatTheStoreKeeps(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		srv := s3test.Run(t, kind)
		for _, checksum := range []bool{false, true} {
			c := settings(srv, srv.Bucket(t))
			c.Checksum = checksum
			s := open(t, c)
			raw, err := srv.Client()
			if err != nil {
				t.Fatal(err)
			}
			for key, size := range map[string]int{"small": 100, "empty": 0, "large": 2*part + 7} {
				id := storetest.ID("acc", key)
				content := storetest.Noise(size)
				put(t, s, id, content)
				wantHeld(t, s, id, content)
				o, err := raw.StatObject(t.Context(), c.Bucket, "acc/"+key+"!.log", minio.StatObjectOptions{Checksum: true})
				if err != nil || (o.ChecksumCRC32C != "") != checksum {
					t.Errorf("%s, %s: CRC-32C %q, %v; want one: %v", kind, key, o.ChecksumCRC32C, err, checksum)
				}
			}
		}
	}
}

func TestCredentialsAreFoundInTheUsualSources(t *testing.T) {
	srv := s3test.Run(t, s3test.Versity)
	c := settings(srv, srv.Bucket(t))
	c.AccessKeyID, c.SecretAccessKey = "", ""
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)

	file := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n[ci]\naws_access_key_id = " + s3test.AccessKey + "\naws_secret_access_key = " + s3test.SecretKey + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	if _, err := s3.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), c.Bucket) || !strings.Contains(err.Error(), srv.Addr) {
		t.Errorf("wrong credentials: %v, want an error that names bucket and endpoint", err)
	}
	t.Setenv("AWS_PROFILE", "ci")
	put(t, open(t, c), id, storetest.Text(10))

	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	var asked atomic.Int64
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Expiration":%q}`, s3test.AccessKey, s3test.SecretKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer role.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	s := open(t, c)
	put(t, s, id, storetest.Text(20))
	wantHeld(t, s, id, storetest.Text(20))
	nobody := httptest.NewServer(http.NotFoundHandler())
	defer nobody.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", nobody.URL)
	if _, err := s3.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no credentials were found") || !strings.Contains(err.Error(), c.Bucket) {
		t.Errorf("no credentials: %v", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the role was asked for %d times", n)
	}
}

func TestAConfiguredCACertificateIsTrusted(t *testing.T) {
	srv := s3test.Run(t, s3test.MinIO)
	f := viaFaultyProxy(t, srv)
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that trusts nobody
	f.StartTLS()
	c := settings(srv, srv.Bucket(t))
	c.Endpoint = f.URL
	if _, err := s3.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "certificate") || !strings.Contains(err.Error(), c.Bucket) {
		t.Errorf("an unknown certificate: %v", err)
	}
	c.CACert = filepath.Join(t.TempDir(), "ca.pem")
	if _, err := s3.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("a missing file: %v", err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	if err := os.WriteFile(c.CACert, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, c)
	for _, size := range []int{100, part + 100} {
		put(t, s, id, storetest.Noise(size))
		wantHeld(t, s, id, storetest.Noise(size))
	}
}

func TestLinksHaveTheirEndpointAndLifetime(t *testing.T) {
	srv := s3test.Run(t, s3test.Versity)
	c := settings(srv, srv.Bucket(t))
	c.Prefix, c.LinkEndpoint, c.Addressing = "ci", "https://s3.example.com", s3.Paths
	s := open(t, c)
	id := storetest.ID("a b", "x y/z")
	sign := func() string {
		t.Helper()
		link, err := s.SignGet(t.Context(), id, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(link)
		if err != nil || u.Scheme != "https" || u.Host != "s3.example.com" || u.Query().Get("X-Amz-Expires") != "60" {
			t.Errorf("%s, %v", link, err)
		}
		if strings.Contains(link, s3test.SecretKey) {
			t.Error("the link has the secret in it")
		}
		return u.Path
	}
	if link, err := s.SignGet(t.Context(), id, time.Minute); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Errorf("a link to nothing: %q, %v", link, err)
	}
	put(t, s, id, []byte("first"))
	if got, want := sign(), "/"+c.Bucket+"/ci/a!0b/x!0y/z!.log"; got != want {
		t.Errorf("the link is to %s, want %s", got, want)
	}
	if err := s.Put(t.Context(), id, strings.NewReader("second"), logs.BlobInfo{Attempt: 2}); err != nil {
		t.Fatal(err)
	}
	if got, want := sign(), "/"+c.Bucket+"/ci/a!0b/x!0y/z!.2.log"; got != want {
		t.Errorf("the link is to %s, want %s", got, want)
	}
}

func TestInvalidSettingsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*s3.Config){
		"bucket":             func(c *s3.Config) { c.Bucket = "no" },
		"prefix":             func(c *s3.Config) { c.Prefix = "a/../b" },
		"long prefix":        func(c *s3.Config) { c.Prefix = strings.Repeat("p", 201) },
		"endpoint, a path":   func(c *s3.Config) { c.Endpoint = "http://localhost:9000/logs" },
		"endpoint, a user":   func(c *s3.Config) { c.Endpoint = "http://user:s3cr3t@localhost:9000" },
		"endpoint, a scheme": func(c *s3.Config) { c.Endpoint = "ftp://localhost" },
	} {
		c := s3.Config{Bucket: "logs", Endpoint: "http://127.0.0.1:1", AccessKeyID: "id", SecretAccessKey: "s3cr3t"}
		change(&c)
		if _, err := s3.Open(t.Context(), c); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
