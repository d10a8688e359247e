package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/harness/log-service/internal/api/apitest"
	httpapi "github.com/harness/log-service/internal/api/http"
)

// fill puts the segments of a key into the wildcards of a pattern, one each.
func fill(pattern, key string) string {
	segments := strings.Split(key, "/")
	return wildcard.ReplaceAllStringFunc(pattern, func(string) string {
		first := segments[0]
		segments = segments[1:]
		return first
	})
}

var wildcard = regexp.MustCompile(`\{[a-z]+\}`)

// existing and missing are a key that has a log and one that has none.
const existing, missing = "p/1/x/y", "n/n/n/n"

// logOf is the key of the log that a probe of r with key is about.
func logOf(r httpapi.Row, key string) string {
	pattern := rules[r.Method+" "+r.Pattern].key
	if pattern == "" {
		return key
	}
	names, values := wildcard.FindAllString(r.Pattern, -1), strings.Split(key, "/")
	for i, name := range names {
		pattern = strings.ReplaceAll(pattern, name, values[i])
	}
	return pattern
}

// What a refusal looks like; clients know these words.
const (
	noToken    = "no token in header"
	notAllowed = "operation not permitted for accountID: "
	notGlobal  = "token in request not authorized for receiving tokens"
)

// marker is in every line of the logs that nobody but their owner may see.
const marker = "SECRET-OF-A"

// matrix is the server of the test, its log, and every token it was sent.
type matrix struct {
	*testServer
	log    apitest.Buffer
	tokens []string
}

// outcome is what a probe was answered.
type outcome struct {
	status  int
	message string // error_msg
	body    string // of all but tails
}

func (o outcome) refused() bool {
	return o.message == noToken || o.message == notGlobal || strings.HasPrefix(o.message, notAllowed)
}

// probe sends a request with a token the way that the place says.
func (m *matrix) probe(r httpapi.Row, method, key, place, token string) outcome {
	m.t.Helper()
	target := fill(r.Pattern, key)
	q := url.Values{"accountID": {"A"}, "key": {key}, "prefix": {key}}
	if target == "/stream" && r.Method == http.MethodDelete {
		q.Del("prefix")
	}
	if place == "query" {
		q.Set("X-Harness-Token", token)
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	var body io.Reader
	if method == http.MethodPut || method == http.MethodPost {
		body = strings.NewReader(`[{"out":"changed"}]`)
	}
	req, err := http.NewRequestWithContext(ctx, method, m.url+target+"?"+q.Encode(), body)
	if err != nil {
		m.t.Fatal(err)
	}
	switch place {
	case "header":
		req.Header.Set("X-Harness-Token", token)
	case "bearer":
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if token != "" {
		m.tokens = append(m.tokens, token)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	o := outcome{status: resp.StatusCode}
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		o.body = string(b)
	}
	var e struct {
		Message string `json:"error_msg"`
	}
	if resp.StatusCode >= 400 && json.Unmarshal([]byte(o.body), &e) == nil {
		o.message = e.Message
	}
	return o
}
