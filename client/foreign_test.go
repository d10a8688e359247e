package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
)

// TestAnAnswerThatIsNotFromALogServiceIsAnError: a login page, a proxy, or another
// web server never count as success, whatever the status.
func TestAnAnswerThatIsNotFromALogServiceIsAnError(t *testing.T) {
	mux := http.NewServeMux()
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>log in</html>"))
		}
	}
	mux.HandleFunc("/ok/", page(http.StatusOK))
	mux.HandleFunc("/forbidden/", page(http.StatusForbidden))
	mux.HandleFunc("/login/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok/login", http.StatusFound) })
	mux.HandleFunc("/moved/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://user:s3cr3t@elsewhere.example"+r.URL.Path, http.StatusMovedPermanently)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for path, want := range map[string]string{
		"/ok": "web page", "/forbidden": "web page, 403", "/login": "redirects to http://127.0.0.1", "/moved": "the server redirects to https://elsewhere.example",
	} {
		c, err := New(srv.URL+path, WithRetry(Retry{}), WithToken("t"))
		if err != nil {
			t.Fatal(err)
		}
		_, appended := c.Append(t.Context(), "k", []logservice.Line{{Out: "x"}})
		for what, err := range map[string]error{"open": c.Open(t.Context(), "k"), "append": appended, "close": c.Close(t.Context(), "k")} {
			e, ok := errors.AsType[*Error](err)
			if !ok || !e.Foreign || !strings.Contains(e.Message, want) || strings.Contains(err.Error()+e.Hint, "s3cr3t") {
				t.Errorf("%s at %s: %v, want %q", what, path, err, want)
			}
		}
		if _, err := c.Info(t.Context()); err == nil {
			t.Errorf("info at %s: no error", path)
		}
	}
}

func TestAUserAndAPasswordInTheAddressAreNotPrinted(t *testing.T) {
	for _, address := range []string{"ftp://user:s3cr3t@host", "http://user:s3cr3t@host", "user:s3cr3t@host", "http://user:s3cr3t@host:port", "grpc://user:s3cr3t@host/x", "http://u:s3cr3t@%zz"} {
		if _, err := New(address); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
