package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dchest/authcookie"

	logservice "github.com/harness/log-service"
	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/stream"
)

// two is a service with the logs of two accounts: A, who has a token and bad
// intentions, and B, whose logs hold the marker.
type two struct {
	service *service.Service
	handler http.Handler
	token   string // of A
}

const ofB = "SECRET-OF-B"

func newTwo(t testing.TB) *two {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	engine, err := stream.Open(stream.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(t.TempDir(), "blobs.db"), bolt.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	service := service.New(service.Config{Streams: engine, Store: store, Logger: quiet, LinkKey: []byte(strings.Repeat("k", 32))})
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- service.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		_ = engine.Stop()
		_ = store.Close()
	})
	w := &two{
		service: service, token: authcookie.NewSinceNow("A", time.Hour, []byte(testSecret)),
		handler: httpapi.New(httpapi.Config{Service: service, Logger: quiet, Auth: newVerifier(t)}),
	}
	for account, text := range map[string]string{"A": "mine", "B": ofB} {
		for _, key := range []logservice.Key{"k", "p/1/x/y", "B/k", "drone/step/7", logservice.Key(text)} { // names are secret, too
			id := logservice.ID{Account: account, Key: key}
			if err := service.Open(t.Context(), id, logs.OpenOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := service.Append(t.Context(), id, logs.Lines{Data: []byte(`{"out":"` + text + `"}` + "\n"), Count: 1}); err != nil {
				t.Fatal(err)
			}
			if err := service.PutBlob(t.Context(), id, strings.NewReader(text+" stored"), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	return w
}

// state is everything of account B.
func (w *two) state(t testing.TB) string {
	t.Helper()
	ctx := context.Background()
	infos, err := w.service.List(ctx, logs.Filter{Account: "B"})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, i := range infos {
		all["live "+string(i.ID.Key)] = fmt.Sprint(i.Lines, i.Bytes, i.Closed)
	}
	for e, err := range w.service.ListBlobs(ctx, "B", "") {
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.service.Blob(ctx, logservice.ID{Account: "B", Key: e.Key}, 0)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Range(ctx, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		_ = r.Close()
		_ = c.Close()
		if err != nil {
			t.Fatal(err)
		}
		all["stored "+string(e.Key)] = string(b)
	}
	text, _ := json.Marshal(all) // in the order of the keys
	return string(text)
}

// attack sends what A has thought up, past everything that a client of HTTP
// would refuse to send, and returns the answer.
func (w *two) attack(method, path, query string, header http.Header, body string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond) // tails of A's own logs do not end
	defer cancel()
	unescaped, err := url.PathUnescape(path)
	if err != nil {
		unescaped = path
	}
	r := (&http.Request{
		Method: method, URL: &url.URL{Path: unescaped, RawPath: path, RawQuery: query}, Host: "logs.example.com",
		Proto: "HTTP/1.0", ProtoMajor: 1, Header: header, RequestURI: path + "?" + query,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}).WithContext(ctx)
	a := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // what net/http compares, too
				panic(p)
			}
		}()
		w.handler.ServeHTTP(a, r)
	}()
	return a
}

func (w *two) headers(more ...string) http.Header {
	h := http.Header{"X-Harness-Token": {w.token}}
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

// queries are ways to name B's logs that some parser, some day, took for it.
var queries = []string{
	"accountID=B&key=k", "accountID=A&accountID=B&key=k", "accountID=B&accountID=A&key=k", "accountID=A&key=k&accountID=B",
	"accountID=A&key=../B/k", "accountID=A&key=%2e%2e/B/k", "accountID=A&key=%252e%252e%252fB%252fk", "accountID=A&key=..%2fB%2fk",
	`accountID=A&key=..\B\k`, "accountID=A&key=..%5cB%5ck", "accountID=A&key=k%00", "accountID=A%00B&key=k", "accountID=B%00A&key=k",
	"accountID=A/../B&key=k", "accountID=A%2f..%2fB&key=k", "accountID=../B&key=k", "accountID=.&key=B/k", "accountID=..&key=B/k", "accountID=&key=B/k",
	"accountID=A;accountID=B&key=k", "accountid=B&accountID=A&key=k", "accountID[]=B&accountID=A&key=k", "accountID=A,B&key=k", "accountID=*&key=k",
	"accountID=A&key=*", "accountID=A&key=%2a", "accountID=A&key=?", "accountID=A&key=[a-z]", "accountID=A&key={k,B/k}",
	"accountID=A&key=B/k", "accountID=A&key=A/B/k", "accountID=A&key=/B/k", "accountID=A&key=//B/k", "accountID=A&key=B:k", "accountID=B:k&key=k",
	"accountID=A&key=k%26accountID%3dB", "accountID=A&key=k%26accountID=B", "accountID=A&key=k#&accountID=B", "%61ccountID=B&accountID=A&key=k",
	"accountID=A&keyList=../B/k,B/k", "accountID=A&keyList=,", "accountID=A&key=&prefix=true", "accountID=A&key=/&prefix=true", "accountID=A&key=..&prefix=true",
	"accountID=A&prefix=..&key=k", "accountID=A&prefix=../B", "accountID=A&prefix=%2e%2e%2fB", "accountID=A&prefix=*", "accountID=A&prefix=", "accountID=A&prefix=/",
	"accountID=A&key=k\r\nX-Account: B", "accountID=A&key=k%0d%0aX-Account:%20B", "accountID=%EF%BC%A2&key=k", "accountID=B%20&key=k", "accountID=%20B&key=k",
	"accountID=B&key=k&ticket=1.x", "accountID=B&key=k&signature=x&expires=9999999999", "accountID=B&key=k&X-Harness-Token=x",
	"accountID=" + logservice.InternalAccount + "&key=k", "accountID=internal&key=k", "",
}

// TestNobodyReachesTheLogsOfOthers tries every route with every way to name
// another account's logs, in the query, the path, the body and the headers.
func TestNobodyReachesTheLogsOfOthers(t *testing.T) {
	w := newTwo(t)
	before := w.state(t)
	if !strings.Contains(before, ofB) {
		t.Fatal("B has no logs to protect")
	}
	check := func(what string, a *httptest.ResponseRecorder) {
		t.Helper()
		seen := a.Body.String() + fmt.Sprint(a.Result().Header)
		if strings.Contains(seen, ofB) {
			t.Errorf("%s: %d %.300s", what, a.Code, seen)
		}
	}
	for _, r := range httpapi.Table() {
		if r.Method == http.MethodDelete && r.Pattern == "/stream" || r.Pattern == "/healthz" {
			continue // below: A may well close its own
		}
		path := strings.NewReplacer("{project}", "p", "{build}", "1", "{stage}", "x", "{step}", "y", "{id}", "7").Replace(r.Pattern)
		for _, q := range queries {
			check(r.Method+" "+path+"?"+q, w.attack(r.Method, path, q, w.headers(), `[{"out":"changed"}]`))
		}
		form := "accountID=B&key=k"
		check("a form in the body", w.attack(r.Method, path, "accountID=A&key=k", w.headers("Content-Type", "application/x-www-form-urlencoded"), form))
		check("a form instead of the query", w.attack(r.Method, path, "", w.headers("Content-Type", "application/x-www-form-urlencoded"), form))
		check("JSON in the body", w.attack(r.Method, path, "accountID=A&key=k", w.headers(), `[{"accountID":"B","key":"k","out":"x"}]`))
		check("headers", w.attack(r.Method, path, "accountID=A&key=k", w.headers("X-Account-Id", "B", "X-Original-Url", "/blob?accountID=B&key=k",
			"X-Http-Method-Override", "DELETE", "X-Forwarded-Prefix", "/B", "Cookie", "accountID=B"), "[]"))
	}
	for _, q := range queries {
		check("DELETE /stream?"+q, w.attack(http.MethodDelete, "/stream", q, w.headers(), ""))
	}
	for _, path := range []string{
		"/ci/../B/1/x/y/blob", "/ci/p/1/x/..%2f..%2fB/blob", "/ci/p/1/x/%2e%2e/blob", "/ci/%2e%2e/%2e%2e/B/k/blob", "/ci/B/k/x/y/../../blob",
		"//blob", "/blob/", "/./blob", "/blob/../blob", "/BLOB", "/blob%00", "/blob;accountID=B", "/rpc/v2/step/..%2fB/logs/batch", "/rpc/v2/step/%2e%2e/logs/upload",
		"/internal/blob", "/internal/../internal/blob", "/info/stream", "/token",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, "get", "PROPFIND"} {
			check(method+" "+path, w.attack(method, path, "accountID=B&key=k", w.headers(), "[]"))
			check(method+" "+path, w.attack(method, path, "accountID=A&key=k", w.headers(), "[]"))
		}
	}
	if after := w.state(t); after != before {
		t.Errorf("the logs of B changed:\n%s\nwere\n%s", after, before)
	}
}

// FuzzNobodyReachesTheLogsOfOthers goes on from there.
func FuzzNobodyReachesTheLogsOfOthers(f *testing.F) {
	for i, q := range queries {
		f.Add(uint(i), "", q, "")
	}
	f.Add(uint(1), "/ci/p/1/x/..%2f..%2fB/blob", "accountID=A", "accountID=B&key=k")
	rows := httpapi.Table()
	w := newTwo(f)
	before := w.state(f)
	f.Fuzz(func(t *testing.T, row uint, path, query, body string) {
		r := rows[row%uint(len(rows))]
		if path == "" {
			path = strings.NewReplacer("{project}", "p", "{build}", "1", "{stage}", "x", "{step}", "y", "{id}", "7").Replace(r.Pattern)
		}
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		a := w.attack(r.Method, path, query, w.headers(), body)
		if bytes.Contains(a.Body.Bytes(), []byte(ofB)) {
			t.Errorf("%s %q?%q: %d %.300s", r.Method, path, query, a.Code, a.Body)
		}
		if after := w.state(t); after != before {
			t.Fatalf("%s %q?%q with %q: the logs of B changed:\n%s\nwere\n%s", r.Method, path, query, body, after, before)
		}
	})
}
