package e2e_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// TestADiskThatHangsIsReportedAndDoesNotHoldAStopUp makes every sync of a running
// server hang, like a disk that has lost its controller.
func TestADiskThatHangsIsReportedAndDoesNotHoldAStopUp(t *testing.T) {
	t.Parallel()
	strace := proctest.Program(t, "strace", "strace")
	s := startHanging(t)
	w := newWire(s.url)
	if err := w.open(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	s.ready(t, http.StatusOK, "")
	s.inject(t, strace, "fdatasync,fsync", "delay_enter=300s")
	go func() { _, _ = w.push(t.Context(), "k", "", []string{`{"out":"x\n"}`}) }() // is never answered
	s.ready(t, http.StatusServiceUnavailable, "live logs: the disk of the write-ahead log hangs")
	if a, err := w.call(t.Context(), http.MethodGet, "/healthz", "x", "", nil); err != nil || a.status != http.StatusOK {
		t.Errorf("liveness: %v, %v", a, err)
	}
	s.stopsUnfinished(t, "live streams")
}

// TestARedisThatHangsIsReportedAndDoesNotHoldAStopUp does the same to Redis.
func TestARedisThatHangsIsReportedAndDoesNotHoldAStopUp(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := startHanging(t, "LOG_SERVICE_REDIS_ENDPOINT="+redis.Addr)
	w := newWire(s.url)
	if err := w.open(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	s.ready(t, http.StatusOK, "")
	redis.Pause()
	defer redis.Resume()
	go func() { _, _ = w.push(t.Context(), "k", "", []string{`{"out":"x\n"}`}) }()
	s.ready(t, http.StatusServiceUnavailable, "live logs: Redis does not answer")
	clock := s.terminate(t)
	for range s.output { // ends with the process
	}
	if took := clock.Elapsed(); took > config.StopTimeout {
		t.Errorf("the stop took %v", took)
	}
}

// TestAFailedSyncIsReportedUntilTheDiskWorksAgain lets every sync of a running
// server fail, and then none.
func TestAFailedSyncIsReportedUntilTheDiskWorksAgain(t *testing.T) {
	t.Parallel()
	strace := proctest.Program(t, "strace", "strace")
	s := startHanging(t)
	w := newWire(s.url)
	if err := w.open(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	s.ready(t, http.StatusOK, "")
	detach := s.inject(t, strace, "fdatasync,fsync", "error=EIO")
	for path, body := range map[string]string{"/stream": `[{"out":"x\n"}]`, "/blob": strings.Repeat("x", 100_000)} {
		method := map[string]string{"/stream": http.MethodPut, "/blob": http.MethodPost}[path]
		if a, err := w.call(t.Context(), method, path, "k", "", []byte(body)); err != nil || a.status != http.StatusServiceUnavailable {
			t.Errorf("%s without a sync: %v, %v", path, a, err)
		}
	}
	s.ready(t, http.StatusServiceUnavailable, "live logs: fdatasync: input/output error")
	s.ready(t, http.StatusServiceUnavailable, "stored logs: ")
	detach()
	s.ready(t, http.StatusOK, "")
	if _, err := w.push(t.Context(), "k", "", []string{`{"out":"y\n"}`}); err != nil {
		t.Error(err)
	}
}

// inject lets system calls of the server fail or hang until detach, or the end of
// the test.
func (h *hanging) inject(t *testing.T, strace, calls, how string) (detach func()) {
	t.Helper()
	trace := exec.Command(strace, "-f", "-o", os.DevNull, "-p", fmt.Sprint(h.cmd.Process.Pid), "-e", "trace="+calls, "-e", "inject="+calls+":"+how)
	attached, err := trace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = trace.Process.Kill(), trace.Wait() })
	if line, err := bufio.NewReader(attached).ReadString('\n'); err != nil || !strings.Contains(line, "attached") {
		proctest.Missing(t, fmt.Sprintf("the permission to trace processes (root): %q, %v", line, err))
	}
	return func() { _, _ = trace.Process.Signal(os.Interrupt), trace.Wait() }
}

// hanging is a server whose output is read continuously.
type hanging struct {
	cmd    *exec.Cmd
	url    string
	output chan string // lines of standard error
}

func startHanging(t *testing.T, env ...string) *hanging {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(program(t), "server")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{
		"LOG_SERVICE_HTTP_BIND=127.0.0.1:0", "LOG_SERVICE_GRPC_BIND=off", "LOG_SERVICE_DATA=" + filepath.Join(dir, "data")}, env...)...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &hanging{cmd: cmd, output: make(chan string, 1000)}
	go func() {
		defer close(h.output)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			h.output <- lines.Text()
		}
	}()
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	for line := range h.output {
		if _, url, ok := strings.Cut(line, "listens on "); ok {
			h.url = url
			return h
		}
	}
	t.Fatal("the server does not start")
	return nil
}

// ready waits until readiness returns status with reason, promptly each time.
func (h *hanging) ready(t *testing.T, status int, reason string) {
	t.Helper()
	w := newWire(h.url)
	last, clock := "", proctest.StartClock(t)
	for begun := time.Now(); time.Since(begun) < startLimit; {
		asked := clock.Elapsed()
		a, err := w.call(t.Context(), http.MethodGet, "/ready/healthz", "x", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := clock.Elapsed() - asked; took > 3*time.Second {
			t.Fatalf("a probe took %v", took)
		}
		if last = string(a.body); a.status == status && strings.Contains(last, reason) {
			return
		}
	}
	t.Fatalf("readiness is not answered %d with %q: %s", status, reason, last)
}

func (h *hanging) terminate(t *testing.T) *proctest.Clock {
	t.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return proctest.StartClock(t)
}

// stopsUnfinished waits for the error that names the abandoned steps. The process
// exits only when the system gives up the hanging call.
func (h *hanging) stopsUnfinished(t *testing.T, what string) {
	t.Helper()
	clock := h.terminate(t)
	late := time.After(config.StopTimeout + startLimit)
	for {
		select {
		case line, ok := <-h.output:
			if !ok {
				t.Fatal("it ends without an error")
			}
			if strings.HasPrefix(line, "error: ") && strings.Contains(line, what) {
				took := clock.Elapsed()
				if t.Logf("stopped within %v: %s", took, line); took > config.StopTimeout {
					t.Errorf("the stop took %v, want at most %v", took, config.StopTimeout)
				}
				return
			}
		case <-late:
			t.Fatal("the stop does not end")
		}
	}
}
