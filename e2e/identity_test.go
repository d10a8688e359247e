package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestNoSpellingOfAKeyReachesAnotherAccount sends raw request lines, which no client
// library normalises, from account A. No response contains B's secret, and in the
// end it is still there, unchanged.
func TestNoSpellingOfAKeyReachesAnotherAccount(t *testing.T) {
	t.Parallel()
	s := startServer(t, program(t))
	const secret = "only-for-B"
	line := `{"level":"info","pos":0,"out":"` + secret + `","time":"2026-01-02T15:04:05Z","args":null}`
	b := newWire(s.url)
	b.account = "B"
	if err := b.open(t.Context(), "x/y"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.push(t.Context(), "x/y", "", []string{line}); err != nil {
		t.Fatal(err)
	}
	if a, err := b.call(t.Context(), http.MethodPost, "/blob", "blob/y", "", []byte(line)); want(a, err, 204) != nil {
		t.Fatal(want(a, err, 204))
	}

	var queries []string
	for _, target := range []string{"x/y", "blob/y"} {
		for _, up := range []string{
			"../B/", "..%2fB%2f", "%2e%2e/B/", "%2e%2e%2fB%2f", "%252e%252e%252fB%252f", `..\B\`, "..%5cB%5c",
			"/../B/", "./../B/", "a/../../B/", "%00../B/", "B/", "/B/", "B%2f", "B%00", "B:", "B%3a", "//B/", "*/", "?/", "%c0%ae%c0%ae/B/",
		} {
			queries = append(queries, "accountID=A&key="+up+target)
		}
		queries = append(queries,
			"accountID=A&accountID=B&key="+target,
			"accountID=B%00A&key="+target,
			"accountID=A/../B&key="+target,
			"accountID=A%2f..%2fB&key="+target,
			"accountID=A&key=&prefix="+target,
			"accountID=A;accountID=B&key="+target,
			"accountID=A%26accountID=B&key="+target,
			"accountid=B&accountID=A&key="+target,
			"accountID=A&key="+target,
			"accountID=A&key=*",
			"accountID=*&key="+target,
			"accountID=&key="+target,
			"accountID=%20B&key="+target,
			"accountID=b&key="+target,
		)
	}
	form := "accountID=B&key=x/y"
	for _, q := range queries {
		for _, request := range []string{
			"GET /stream?" + q, "GET /blob?" + q, "GET /blob/exists?" + q, "GET /stream/info?" + q,
			"PUT /stream?" + q, "POST /blob?" + q, "DELETE /blob?" + q, "DELETE /stream?" + q,
			"DELETE /stream?prefix=true&" + q, "POST /blob/download?prefix=&" + q,
		} {
			answer := rawRequest(t, s.addr, request, form)
			if strings.Contains(answer, secret) {
				t.Errorf("%s: answers with the line of B:\n%s", request, answer)
			}
		}
	}

	if data, err := b.archive(t.Context(), "blob/y"); err != nil || string(data) != line {
		t.Errorf("B's blob is %q, %v", data, err)
	}
	next, err := b.push(t.Context(), "x/y", "", nil)
	if err != nil || next != 2 {
		t.Errorf("B's stream has %d as its next line, %v, want 2", next, err)
	}
}

// rawRequest sends the line unchanged, with a form as its body, and returns the
// response; of a tail only its first bytes.
func rawRequest(t *testing.T, addr, line, body string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(startLimit))
	_, err = fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		line, len(body), body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("X-Log-State") == "live" {
		t.Errorf("%s: follows a live log, and A has none", line)
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return resp.Status + "\n" + string(data)
}
