package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func settings(dir string) config.Config {
	c := config.Default()
	c.Bind = "127.0.0.1:0"
	c.Data = dir
	c.BoltPath = filepath.Join(dir, "blobs.db")
	return c
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// running is a server that is being served.
type running struct {
	*server.Server
	stop   context.CancelFunc
	served chan error
}

func start(t *testing.T, c config.Config) *running {
	t.Helper()
	srv, err := server.New(c, quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Server: srv, stop: cancel, served: make(chan error, 1)}
	go func() { r.served <- srv.Serve(ctx) }()
	t.Cleanup(cancel)
	return r
}

func (r *running) ended(t *testing.T) {
	t.Helper()
	r.stop()
	clock := proctest.StartClock(t)
	if err := <-r.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	// Nothing here has to be cut off at a deadline.
	if took := clock.Elapsed(); took > 8*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

func newClient(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestAStopEndsTailsSoThatTheyReconnect(t *testing.T) {
	srv := start(t, settings(t.TempDir()))
	c := newClient(t, srv.URL())
	if err := c.Open(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(srv.URL() + "/stream?accountID=default&key=a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, len(": ping\n"))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != ": ping\n" {
		t.Fatalf("the tail begins %q, %v", first, err)
	}
	srv.ended(t)
	rest, _ := io.ReadAll(resp.Body) // it does not matter how the connection ends
	if strings.Contains(string(rest), "eof") {
		t.Errorf("a tail of an open log got the end mark: %q", rest)
	}
}

func TestAStopLetsARequestInFlightFinish(t *testing.T) {
	srv := start(t, settings(t.TempDir()))
	c := newClient(t, srv.URL())
	if err := c.Open(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(s string) {
		if _, err := io.WriteString(conn, s); err != nil {
			t.Error(err)
		}
	}
	send("PUT /stream?accountID=default&key=a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n")
	answers := bufio.NewReader(conn)
	// The response shows that the handler is waiting for the body.
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("answer %q, %v", line, err)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	srv.stop()
	// The server accepts no new connections: the shutdown has started.
	for {
		probe, err := net.Dial("tcp", srv.Addr().String())
		if err != nil {
			break
		}
		probe.Close()
	}
	send(`[{"out":"in"}]`)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("status %s, want 204", resp.Status)
	}
	srv.ended(t)
}

func TestAcknowledgedLinesOutliveAStop(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, settings(dir))
	c := newClient(t, srv.URL())
	if err := c.Open(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	next, err := c.AppendBody(t.Context(), "a/b", client.Text, []byte("one\ntwo\n"))
	if err != nil || next != 3 {
		t.Fatal(next, err)
	}
	srv.ended(t)

	srv = start(t, settings(dir))
	c = newClient(t, srv.URL())
	if next, err := c.Append(t.Context(), "a/b", nil); err != nil || next != 3 {
		t.Errorf("after a restart the next line is %d, %v; want 3", next, err)
	}
	srv.ended(t)
}

func TestASecondServerOnAFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, settings(dir))
	_, err := server.New(settings(dir), quiet())
	inUse, ok := errors.AsType[*server.InUseError](err)
	if !ok || inUse.PID != os.Getpid() || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want an *InUseError with folder and process", err)
	}
	srv.ended(t)
	srv = start(t, settings(dir)) // allowed once the first has stopped
	srv.ended(t)
}

func TestAFailedStartLeavesNothingOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"port":      {func(c *config.Config) { c.Bind = taken.Addr().String() }, "address already in use"},
		"address":   {func(c *config.Config) { c.Bind = ":0" }, "LOG_SERVICE_HTTP_BIND"},
		"folder":    {func(c *config.Config) { c.Data = filepath.Join(file, "below") }, "data folder"},
		"store":     {func(c *config.Config) { c.BoltPath = file }, "blob store"},
		"streams":   {func(c *config.Config) { write(t, filepath.Join(c.Data, "streams"), "a file") }, "live streams"},
		"short key": {func(c *config.Config) { write(t, filepath.Join(c.Data, "link.key"), "short") }, "link.key: 5 bytes, want 32"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := settings(dir)
			tc.change(&c)
			if _, err := server.New(c, quiet()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one about %q", err, tc.want)
			}
			// Once the cause is removed, the same directory works: nothing holds it.
			for _, cause := range []string{"streams", "link.key"} {
				if err := os.RemoveAll(filepath.Join(dir, cause)); err != nil {
					t.Fatal(err)
				}
			}
			start(t, settings(dir)).ended(t)
		})
	}
}

func TestTheLinkKeyIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "link.key")
	start(t, settings(dir)).ended(t)
	key, err := os.ReadFile(path)
	if err != nil || len(key) != 32 {
		t.Fatalf("%d bytes, %v", len(key), err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
	start(t, settings(dir)).ended(t)
	if again, err := os.ReadFile(path); err != nil || string(again) != string(key) {
		t.Errorf("a restart changed the key, %v", err)
	}
	other := t.TempDir()
	start(t, settings(other)).ended(t)
	if foreign, err := os.ReadFile(filepath.Join(other, "link.key")); err != nil || string(foreign) == string(key) {
		t.Errorf("two servers have one key, %v", err)
	}
}

func TestAServerThatWasNeverServedCloses(t *testing.T) {
	dir := t.TempDir()
	srv, err := server.New(settings(dir), quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := srv.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	start(t, settings(dir)).ended(t)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
