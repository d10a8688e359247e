package endpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/service"
)

// call serves f on a real server and returns its answer and its log.
func call(t *testing.T, f Func, target string) (*http.Response, string, string) {
	t.Helper()
	var log bytes.Buffer
	api := New(Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	server := httptest.NewServer(api.Handler("GET", "/", auth.Public, f))
	resp, err := server.Client().Get(server.URL + target)
	body := ""
	if err == nil {
		defer resp.Body.Close()
		b, readErr := io.ReadAll(resp.Body)
		body, err = string(b), readErr
	}
	server.Close() // waits for the handler, and so for its log
	if err != nil {
		body = "broken: " + err.Error()
	}
	return resp, body, log.String()
}

func TestErrorsAndTheirAnswers(t *testing.T) {
	secret := errors.New("dial tcp 10.0.0.7: password wrong")
	for _, tc := range []struct {
		err    error
		status int
		body   string
		log    string
	}{
		{logservice.Invalidf("key %q is bad", "k"), 400, `"error_msg":"key \"k\" is bad","code":400,"reason":"invalid"`, "INFO"},
		{fmt.Errorf("append: %w", logservice.ErrStreamNotFound), 404, `"error_msg":"stream: not found","code":404,"reason":"stream_not_found"`, "INFO"},
		{fmt.Errorf("get: %w", logservice.ErrBlobNotFound), 404, `"error_msg":"blob: not found","code":404,"reason":"blob_not_found"`, "INFO"},
		{logservice.Errorf(logservice.ErrTooLarge, "too much"), 413, `"error_msg":"too much","code":413,"reason":"too_large"`, "INFO"},
		{logservice.ErrForbidden, 403, `"error_msg":"operation not permitted","code":403,"reason":"forbidden"`, "INFO"},
		{logservice.ErrUnauthorized, 400, `"code":400,"reason":"not_authenticated"`, "INFO"},
		{logservice.Errorf(logservice.ErrConflict, "just written"), 409, `"error_msg":"just written","code":409,"reason":"conflict"`, "INFO"},
		{fmt.Errorf("x: %w", &logservice.SequenceError{Offset: 9, Expected: 4}), 409, `"offset":9,"expected":4`, "INFO"},
		{logservice.ErrUnsupported, 501, `"code":501,"reason":"unsupported"`, "INFO"},
		{&logservice.UnavailableError{Cause: secret, RetryAfter: 1500 * time.Millisecond}, 503, `"error_msg":"temporarily unavailable","code":503,"reason":"unavailable"`, "ERROR"},
		{secret, 500, `"error_msg":"internal error","code":500,"reason":"internal"`, "ERROR"},
		{fmt.Errorf("fetch: %w", context.DeadlineExceeded), 504, `"error_msg":"the deadline passed","code":504,"reason":"deadline_exceeded"`, "ERROR"},
		{fmt.Errorf("fetch: %w", context.Canceled), 503, `"code":503,"reason":"unavailable"`, "ERROR"},
		{NotFound("no", "yes"), 404, `"error_msg":"no","code":404,"reason":"not_found","hint":"yes"`, "INFO"},
	} {
		resp, body, log := call(t, func(*Call) error { return tc.err }, "/?accountID=A&key=k&signature=hidden")
		if resp.StatusCode != tc.status || !strings.Contains(body, tc.body) || strings.Contains(body, "password") {
			t.Errorf("%v: %d %s, want %d %s", tc.err, resp.StatusCode, body, tc.status, tc.body)
		}
		if id := resp.Header.Get(api.HeaderRequestID); id == "" || !strings.Contains(body, `"request_id":"`+id+`"`) || !strings.Contains(log, "request_id="+id) {
			t.Errorf("%v: request id %q, body %s, log %s", tc.err, id, body, log)
		}
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level="+tc.log) || strings.Contains(log, "hidden") {
			t.Errorf("%v: log %s", tc.err, log)
		}
		if tc.status == 503 && resp.Header.Get("Retry-After") != "2" && errors.Is(tc.err, secret) {
			t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
		}
	}
}

func TestAPanicIsAnInternalErrorOfOneRequest(t *testing.T) {
	resp, body, log := call(t, func(*Call) error { panic("oops: secret") }, "/")
	if resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "oops") || !strings.Contains(log, "oops") || !strings.Contains(log, "errors_test.go") {
		t.Errorf("%d %s, log %s", resp.StatusCode, body, log)
	}
}

func TestAnAnswerThatFailsOnTheWayIsCut(t *testing.T) {
	for what, f := range map[string]Func{
		"aborted":            func(c *Call) error { _, _ = c.Write(make([]byte, 10_000)); return Aborted(errors.New("disk")) },
		"past a deadline":    func(c *Call) error { _, _ = c.Write(make([]byte, 10_000)); return context.DeadlineExceeded },
		"error after answer": func(c *Call) error { _, _ = c.Write(make([]byte, 10_000)); return errors.New("disk") },
		"panic after answer": func(c *Call) error { _, _ = c.Write(make([]byte, 10_000)); panic("disk") },
		"abort":              func(c *Call) error { _, _ = c.Write(make([]byte, 10_000)); panic(http.ErrAbortHandler) },
	} {
		_, body, log := call(t, f, "/")
		if !strings.HasPrefix(body, "broken: ") {
			t.Errorf("%s: the answer looks whole", what)
		}
		if what != "abort" && !strings.Contains(log, "level=ERROR") {
			t.Errorf("%s: log %q", what, log)
		}
	}
}

func TestRangesOfALog(t *testing.T) {
	for header, want := range map[string]string{
		"bytes=0-0": "0+1", "bytes=2-": "2+98", "bytes=-5": "95+5", "bytes=-500": "0+100", "bytes=90-500": "90+10", "bytes=99-99": "99+1",
		"bytes=100-": "refused", "bytes=-0": "refused", "": "all", "bytes=5-2": "all", "bytes=1-2,4-5": "all", "lines=1-2": "all",
		"bytes=a-": "all", "bytes=": "all", "bytes=-": "all", "bytes=+1-2": "all", "bytes=1": "all",
	} {
		r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
		r.Header.Set("Range", header)
		got, err := rangeOf(r, &service.Content{Size: 100})
		text := fmt.Sprintf("%d+%d", got.first, got.length)
		switch {
		case err != nil:
			text = "refused"
		case !got.given:
			text = "all"
		}
		if text != want {
			t.Errorf("%q: %s, want %s", header, text, want)
		}
	}
}

func TestZstdIsSentOnlyToWhoNamesIt(t *testing.T) {
	for header, want := range map[string]bool{
		"zstd": true, "gzip, zstd": true, "gzip;q=1, ZSTD;q=0.5": true, "zstd;q=0": false, "zstd; q=0.0": false, "*": false, "": false, "zstdx": false,
	} {
		r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
		r.Header.Set("Accept-Encoding", header)
		if got := accepts(r, "zstd"); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}
