package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/proctest"
)

// replay sends what clients of the original Harness log service send, byte for
// byte, over raw connections.
type replay struct {
	t     *testing.T
	addr  string
	clock *proctest.Clock
}

// headLimit is how long clients wait for the head of a response.
const headLimit = 10 * time.Second

// reply is a response, byte for byte.
type reply struct {
	first  string // line
	head   string // all of it
	body   string
	header http.Header
}

// send writes raw on a new connection, in the given pieces, and reads the response.
func (r *replay) send(raw ...string) reply {
	r.t.Helper()
	c := dial(r.t, r.addr)
	defer c.Close()
	begun := r.clock.Elapsed()
	for _, piece := range raw {
		c.write(piece)
	}
	var head strings.Builder
	for {
		row, err := c.in.ReadString('\n')
		if err != nil {
			r.t.Fatalf("%.200q: answer %q, %v", raw[0], head.String(), err)
		}
		head.WriteString(row)
		if row == "\r\n" {
			break
		}
	}
	if took := r.clock.Elapsed() - begun; took > headLimit {
		r.t.Errorf("%.100q: the head of the answer took %v", raw[0], took)
	}
	method, _, _ := strings.Cut(raw[0], " ")
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head.String()), c.in)), &http.Request{Method: method})
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%.200q: %v", raw[0], err)
	}
	first, _, _ := strings.Cut(head.String(), "\r\n")
	return reply{first, head.String(), string(body), resp.Header}
}

// must sends a request twice and checks both statuses: clients retry every verb
// with identical bytes when they see no response.
func (r *replay) must(status, again string, raw ...string) reply {
	r.t.Helper()
	a := r.send(raw...)
	if a.first != "HTTP/1.1 "+status {
		r.t.Fatalf("%.300q\nanswer %s%s\nwant %s", raw[0], a.head, a.body, status)
	}
	if b := r.send(raw...); b.first != "HTTP/1.1 "+again {
		r.t.Fatalf("%.300q\nsent again, answer %s%s\nwant %s", raw[0], b.head, b.body, again)
	}
	return a
}

func startReplay(t *testing.T, env ...string) *replay {
	t.Helper()
	s := startServer(t, program(t), append([]string{"LOG_SERVICE_SECRET=" + replaySecret, "LOG_SERVICE_GLOBAL_TOKEN=" + replayGlobal}, env...)...)
	t.Cleanup(func() { s.stop() })
	return &replay{t, s.addr, proctest.StartClock(t)}
}

// token gets an account token as the manager does.
func (r *replay) token() string {
	r.t.Helper()
	a := r.must(ok, ok, "GET /token?accountID=acc HTTP/1.1\r\nHost: logs\r\nUser-Agent: okhttp/4.10.0\r\nX-Harness-Token: "+replayGlobal+"\r\n\r\n")
	if a.header.Get("Content-Type") != "text/plain; charset=utf-8" || !regexp.MustCompile(`^[A-Za-z0-9_-]+={0,2}$`).MatchString(a.body) {
		r.t.Fatalf("the token comes as %q with %q, want it bare", a.body, a.head)
	}
	return a.body
}

// goRequest formats a request like the Go runner, without a content type.
func goRequest(method, target, token, body string) string {
	length := ""
	if body != "" || method == "POST" || method == "PUT" {
		length = fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return method + " " + target + " HTTP/1.1\r\nHost: logs:8079\r\nUser-Agent: Go-http-client/1.1\r\n" + length +
		"X-Harness-Token: " + token + "\r\nAccept-Encoding: gzip\r\n\r\n" + body
}

// chunkedBody encodes body in chunks and splits it into pieces.
func chunkedBody(body string, size int) (pieces []string) {
	for len(body) > 0 {
		n := min(size, len(body))
		pieces = append(pieces, fmt.Sprintf("%x\r\n%s\r\n", n, body[:n]))
		body = body[n:]
	}
	return append(pieces, "0\r\n\r\n")
}
