package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestAnOrderlyStopUnderLoadLosesNothing sends the server SIGTERM while clients
// write, follow, open and close logs, and restarts it. It must exit with status 0
// within the promised time, and clients that retry unanswered requests must find
// every line once, in order.
func TestAnOrderlyStopUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	rounds := streamtest.Scale(1, 2, 20)
	limit := hangLimit + time.Duration(rounds)*(config.StopTimeout+5*time.Second)
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()

	s := startServer(t, program(t))
	l := newLoad(ctx, newWire(s.url))
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		if err := l.progress(200, 2*time.Second); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		clock := proctest.StartClock(t)
		s.stop() // checks the status
		took := clock.Elapsed()
		t.Logf("round %d: stopped within %v", round, took.Round(time.Millisecond))
		if took > config.StopTimeout {
			t.Errorf("round %d: the stop took %v, want at most %v", round, took, config.StopTimeout)
		}
		s.start()
	}
	if err := l.progress(200, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := l.finish(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d acknowledged batches, %d short logs", l.acks.Load(), l.short.Load())
	for key, log := range l.logs {
		if err := log.check(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	s.stop()
}

// TestAStopIsOrderlyForEverybody observes a shutdown from every kind of connection.
func TestAStopIsOrderlyForEverybody(t *testing.T) {
	t.Parallel()
	delay := 500 * time.Millisecond
	s := startServer(t, program(t), "LOG_SERVICE_STOP_DELAY="+delay.String())
	w := newWire(s.url)
	if err := w.open(t.Context(), "stop/log"); err != nil {
		t.Fatal(err)
	}
	const path = "/stream?accountID=acc&key=stop/log"

	tail := dial(t, s.addr)
	tail.write("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	if row := tail.until(": ping\n"); row == "" {
		t.Fatal("no ping")
	}
	stall(t, s.addr, path, 4<<10) // stops reading
	// A write in progress: its body is being sent.
	const batch = `[{"out":"in flight\n"}]`
	flight := dial(t, s.addr)
	flight.write(fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", path, len(batch)))
	if row := flight.until("HTTP/1.1 100 Continue\r\n"); row == "" {
		t.Fatal("the body is not asked for")
	}
	if os.Getenv(streamtest.LongEnv) != "" { // takes all the time that requests are given
		// An endless upload must not delay the shutdown forever.
		endless := dial(t, s.addr)
		endless.write("POST /blob?accountID=acc&key=stop/endless HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
		if row := endless.until("HTTP/1.1 100 Continue\r\n"); row == "" {
			t.Fatal("the upload is not asked for")
		}
		endless.write("{")
	}

	begun, clock := time.Now(), proctest.StartClock(t)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Readiness goes off first, while everything else is still served.
	for {
		a, err := w.call(t.Context(), http.MethodGet, "/ready/healthz", "x", "", nil)
		if err != nil {
			t.Fatalf("readiness during a stop: %v, want 503 before connections end", err)
		}
		if a.status == http.StatusServiceUnavailable {
			break
		}
	}
	if next, err := w.push(t.Context(), "stop/log", "", []string{`{"out":"late\n"}`}); err != nil || next != 2 {
		t.Errorf("a write after readiness went off: %d, %v", next, err)
	}
	// The tail ends without the end mark, so that its client reconnects.
	rest, err := io.ReadAll(tail.in)
	if err != nil || strings.Contains(string(rest), "eof") || !strings.Contains(string(rest), "late") || !strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Errorf("the tail of an open log ends with %q, %v", rest, err)
	}
	if held := time.Since(begun); held < delay {
		t.Errorf("the tail ended %v after the signal, before the delay of %v", held, delay)
	}
	flight.write(batch)
	if row := flight.until("HTTP/1.1 204 No Content\r\n"); row == "" {
		t.Error("the write in flight was not finished")
	}
	select {
	case err := <-s.exited:
		s.cmd = nil
		took := clock.Elapsed()
		t.Logf("stopped within %v", took.Round(time.Millisecond))
		if err != nil || took > config.StopTimeout {
			t.Errorf("the server ended after %v with %v", took, err)
		}
	case <-time.After(stopLimit):
		t.Fatalf("the server does not stop within %v", stopLimit)
	}
	s.start()
	if next, err := w.push(t.Context(), "stop/log", "", nil); err != nil || next != 3 {
		t.Errorf("after the restart the next line is %d, %v; want 3", next, err)
	}
	if a, err := w.call(t.Context(), http.MethodGet, "/blob/exists", "stop/endless", "", nil); err != nil || string(a.body) != "false" {
		t.Errorf("half an upload exists: %v, %v", a, err)
	}
	s.stop()
}

// rawConn is a connection that speaks bytes.
type rawConn struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(startLimit))
	return &rawConn{c, t, bufio.NewReader(c)}
}

func (c *rawConn) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// until reads up to and including row and returns it, or "" if the connection ends
// first.
func (c *rawConn) until(row string) string {
	for {
		got, err := c.in.ReadString('\n')
		if got == row || err != nil {
			return got
		}
	}
}
