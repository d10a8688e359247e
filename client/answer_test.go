package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	logservice "github.com/harness/log-service"
)

const key = logservice.Key("build/1/test/unit")

// script answers requests with a function, in memory, so that tests can use the
// clock of testing/synctest. It reads every body, as a server does.
type script struct {
	answer func(n int, r request) (*http.Response, error)

	mu   sync.Mutex // guards sent
	sent []request
}

type request struct {
	Method, Path, Query string
	Header              http.Header
	Body                string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	got := request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header}
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		if r.ContentLength > 0 && r.ContentLength != int64(len(b)) { // like net/http
			return nil, fmt.Errorf("ContentLength=%d with Body length %d", r.ContentLength, len(b))
		}
		got.Body = string(b)
	}
	s.mu.Lock()
	s.sent = append(s.sent, got)
	n := len(s.sent)
	s.mu.Unlock()
	resp, err := s.answer(n, got)
	if resp != nil {
		resp.Request = r
	}
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return resp, err
}

func (s *script) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// scripted returns a client of a server that answers the n-th request, counted
// from 1, with answer.
func scripted(t *testing.T, answer func(n int, r request) (*http.Response, error), opts ...Option) (*Client, *script) {
	t.Helper()
	s := &script{answer: answer}
	c, err := New("http://logs.example/base/", append([]Option{WithHTTPClient(&http.Client{Transport: s})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func answered(status int, body string, headers ...string) (*http.Response, error) {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Header: h, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func refused(status int, message string, headers ...string) (*http.Response, error) {
	return answered(status, fmt.Sprintf(`{"error_msg":%q,"reason":"c","hint":"h","request_id":"r"}`, message), headers...)
}

var errCut = errors.New("connection reset")

// unseekable hides every method of a reader except Read.
func unseekable(s string) io.Reader { return io.MultiReader(bytes.NewReader([]byte(s))) }
