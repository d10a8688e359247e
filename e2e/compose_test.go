package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/faultproxy"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// Starts what compose.yaml describes, as it describes it, and uses it through its
// load balancer.
func TestTheCompositionServesAndLosesNothing(t *testing.T) {
	t.Parallel()
	var toRedis *faultproxy.Proxy // the connection of server one
	c := compose(t, func(redis string) string {
		toRedis = startProxy(t, faultproxy.Config{Target: redis})
		return toRedis.Addr()
	})
	// Each step continues from the state that the previous one left.
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{
		{"a tail gets a line while the log is written", c.testTail},
		{"the command line from open to a link", c.testCommands},
		{"a large upload, and one that is too large", c.testUploads},
		{"writers, readers and a kill", c.testKill},
		{"Redis away", c.testRedisAway},
		{"a server that cannot reach Redis", func(t *testing.T) { c.testUnreachable(t, toRedis) }},
	} {
		if !t.Run(step.name, step.test) {
			break
		}
	}
	c.one.stop()
	c.two.stop()
}

// testTail follows a log whose writer sends each line only after the previous one
// has arrived: a balancer that buffers lines would block the writer.
func (c *composition) testTail(t *testing.T) {
	const lines = 50
	w := newWire(c.door.url)
	ctx, cancel := context.WithTimeout(t.Context(), hangLimit)
	defer cancel()
	if err := w.open(ctx, "tail/log"); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan string, 1)
	ended := make(chan error, 1)
	r := tailer{wire: w, key: "tail/log", line: func(_ int64, json []byte) error {
		arrived <- string(json)
		return nil
	}}
	go func() { ended <- r.run(ctx) }()
	writer := streamtest.Writer{Name: "writer"}
	for range lines {
		line := writer.Lines(1)
		if _, err := w.push(ctx, "tail/log", "", line); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-arrived:
			if got != line[0] {
				t.Fatalf("got %s, want %s", got, line[0])
			}
		case err := <-ended:
			t.Fatalf("the tail has ended: %v", err)
		}
	}
	if err := w.close(ctx, "tail/log", ""); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || r.conns != 1 {
		t.Errorf("the tail ended with %v after %d connections, want the log's end after one", err, r.conns)
	}
}

// testCommands runs the commands of docs/cli.md against the balancer.
func (c *composition) testCommands(t *testing.T) {
	log := []string{"5", "6", "7", "8"}
	run := func(stdin string, args ...string) string {
		t.Helper()
		return string(c.door.command([]byte(stdin), append(args, log...)...))
	}
	run("", "cistream", "open")
	tail := c.door.client(append([]string{"cistream", "tail"}, log...)...)
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	text := bufio.NewScanner(out)
	c.door.command([]byte("hello\n"), "cistream", "push", "5", "6", "7", "8", "-")
	if !text.Scan() || text.Text() != "hello" {
		t.Errorf("the tail prints %q (%v), want hello", text.Text(), text.Err())
	}
	c.door.command([]byte("world\n"), "cistream", "push", "5", "6", "7", "8", "-")
	run("", "cistream", "close")
	if !text.Scan() || text.Text() != "world" || text.Scan() {
		t.Errorf("the tail prints %q (%v), want world and the end", text.Text(), text.Err())
	}
	if err := tail.Wait(); err != nil {
		t.Errorf("the tail ends with %v", err)
	}
	const want = "hello\nworld\n"
	if got := run("", "cistore", "download", "--format", "text"); got != want {
		t.Errorf("the archive is %q, want %q", got, want)
	}
	link := strings.TrimSpace(run("", "cistore", "download-link"))
	if !strings.HasPrefix(link, "http://"+c.hosts["minio"]+"/logs/") {
		t.Errorf("the link is %q, want one to MinIO", link)
	}
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("hello")) || !bytes.Contains(body, []byte("world")) {
		t.Errorf("the link answers %s, %q, %v", resp.Status, body, err)
	}
}

// testUploads stores a large blob, and sends appends that are too large: they must
// be rejected with a final status, not one that clients retry.
func (c *composition) testUploads(t *testing.T) {
	w := newWire(c.door.url)
	blob := bytes.Repeat([]byte(`{"out":"`+strings.Repeat("x", 1000)+"\"}\n"), 20_000)
	a, err := w.call(t.Context(), http.MethodPost, "/blob", "large/blob", "", blob)
	if err := want(a, err, http.StatusNoContent); err != nil {
		t.Fatal(err)
	}
	a, err = w.call(t.Context(), http.MethodGet, "/blob", "large/blob", "", nil)
	if err := want(a, err, http.StatusOK); err != nil || !bytes.Equal(a.body, blob) {
		t.Errorf("%d bytes came back of %d (%v)", len(a.body), len(blob), err)
	}
	if err := w.open(t.Context(), "large/log"); err != nil {
		t.Fatal(err)
	}
	for range 4 { // both servers, with and without a race
		a, err = w.call(t.Context(), http.MethodPut, "/stream", "large/log", "", make([]byte, logservice.DefaultMaxBodyBytes+1))
		if err := want(a, err, http.StatusRequestEntityTooLarge); err != nil {
			t.Error(err)
		}
	}
	if err := w.close(t.Context(), "large/log", "snapshot=false"); err != nil {
		t.Fatal(err)
	}
}

// testKill runs the load of the kill -9 test through the balancer, which alternates
// the batches of each writer between the servers. One server is killed, and is
// restarted as compose.yaml specifies.
func (c *composition) testKill(t *testing.T) {
	if policy := c.file.Services["one"].Restart; policy != "unless-stopped" {
		t.Errorf("a server that ends is started again %q", policy)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), hangLimit, fmt.Errorf("not done within %v", hangLimit))
	defer cancel()
	l := newLoad(ctx, newWire(c.door.url))
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	batches := int64(streamtest.Scale(300, 700, 20_000))
	if err := l.await(batches); err != nil {
		t.Fatal(err)
	}
	c.one.kill()
	if err := l.await(batches); err != nil {
		t.Fatal(err)
	}
	c.one.start()
	if err := l.await(batches); err != nil {
		t.Fatal(err)
	}
	if err := l.finish(); err != nil {
		t.Fatal(err)
	}
	for key, log := range l.logs {
		if err := log.check(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	had, failed := map[string]int{}, 0
	for _, r := range c.requests() {
		if r.status[0] == '5' {
			failed++
		} else {
			had[r.server]++
		}
	}
	t.Logf("%d acknowledged batches, %d short logs; requests by the server that answered: %v; %d failed",
		l.acks.Load(), l.short.Load(), had, failed)
	if had[c.one.addr] < int(batches)/4 || had[c.two.addr] < int(batches) || failed == 0 {
		t.Errorf("this shows little")
	}
}

// testRedisAway kills Redis: the servers' responses then pass through, and the
// balancer, which saw both of them answer 503, does not exclude either.
func (c *composition) testRedisAway(t *testing.T) {
	w := newWire(c.door.url)
	if err := w.open(t.Context(), "away/log"); err != nil {
		t.Fatal(err)
	}
	c.redis.end(syscall.SIGKILL)
	var refused struct{ Reason string }
	for range 3 {
		a, err := w.call(t.Context(), http.MethodPut, "/stream", "away/log", "offset=1", []byte(`[{"out":"x"}]`))
		if err := want(a, err, http.StatusServiceUnavailable); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(a.body, &refused); err != nil || refused.Reason != "unavailable" || a.header.Get("Retry-After") == "" {
			t.Fatalf("the 503 is not one of ours: %v %v", a, a.header)
		}
		a, err = w.call(t.Context(), http.MethodGet, "/blob", "tail/log", "", nil)
		if err := want(a, err, http.StatusOK); err != nil {
			t.Fatalf("a finished log while Redis is away: %v", err)
		}
	}
	c.redis.start()
	c.awaitRedis()
	next, err := w.push(t.Context(), "away/log", "offset=1", []string{`{"out":"x"}`})
	if err != nil || next != 2 {
		t.Fatalf("next is %d, %v", next, err)
	}
	if err := w.close(t.Context(), "away/log", ""); err != nil {
		t.Fatal(err)
	}
}

// testUnreachable disconnects server one from Redis: the writer retries what it
// rejects, and the other server accepts it.
func (c *composition) testUnreachable(t *testing.T, toRedis *faultproxy.Proxy) {
	w := newWire(c.door.url)
	if err := w.open(t.Context(), "alone/log"); err != nil {
		t.Fatal(err)
	}
	if err := toRedis.Close(); err != nil {
		t.Fatal(err)
	}
	before := len(c.requests())
	sent, err := writeThrough(t.Context(), w, "alone/log", 5000)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.close(t.Context(), "alone/log", "snapshot=true"); err != nil {
		t.Fatal(err)
	}
	archived := newHashing()
	late := tailer{wire: w, key: "alone/log", line: archived.line}
	if err := late.run(t.Context()); err != nil || archived.String() != sent.String() {
		t.Errorf("the archive has %d lines of SHA-256 %v, sent were %d of %v (%v)", archived.lines, archived, sent.lines, sent, err)
	}
	refused := 0
	for _, r := range c.requests()[before:] {
		if r.method == http.MethodPut && r.status == "503" && r.server == c.one.addr {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("%d appends were refused by the server without Redis: this shows little", refused)
	}
}
