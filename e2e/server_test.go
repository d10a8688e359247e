package e2e_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/harness/log-service/internal/proctest"
)

// startLimit limits a start, including recovery, on a busy machine; stopLimit is
// what the server promises, plus a margin.
const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
)

// hangLimit ends a test that hangs before the test binary is ended, and no other:
// how long one takes depends on the machine.
const hangLimit = 5 * time.Minute

// noRaceSleep disables the second that a program with the race detector sleeps at
// exit, in case goroutines that are left race. Ours leaves none.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

// process is the program running as a server; it can be killed and restarted with
// the same address and directory.
type process struct {
	t      *testing.T
	path   string // of the program
	addr   string
	url    string
	folder string
	env    []string
	output logBuffer

	cmd    *exec.Cmd
	exited chan error
}

// startServer runs the program with the settings env (NAME=value) and waits
// until it serves. The process does not outlive the test; what it wrote is
// shown when the test fails.
func startServer(t *testing.T, program string, env ...string) *process {
	t.Helper()
	addr, folder := proctest.FreeAddr(t), t.TempDir()
	return startProcess(t, program, addr, folder, append([]string{
		"LOG_SERVICE_HTTP_BIND=" + addr,
		"LOG_SERVICE_GRPC_BIND=127.0.0.1:0", // not the default port, which servers of other tests may use
		"LOG_SERVICE_DATA=" + filepath.Join(folder, "data"),
	}, env...)...)
}

// startProcess is startServer with an explicit address and data directory.
func startProcess(t *testing.T, program, addr, folder string, env ...string) *process {
	t.Helper()
	s := &process{t: t, path: program, addr: addr, url: "http://" + addr, folder: folder}
	for _, kv := range env {
		if strings.HasPrefix(kv, "LOG_SERVICE_TLS_CERT=") {
			s.url = "https://" + addr
		}
	}
	s.env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, noRaceSleep}, env...)
	t.Cleanup(func() {
		s.kill()
		if out := s.output.String(); t.Failed() || strings.Contains(out, "DATA RACE") {
			t.Errorf("the server wrote:\n%s", out)
		}
	})
	s.start()
	return s
}

// start runs the process with the settings and directory of its previous run.
func (s *process) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.path, "server")
	s.cmd.Dir = s.folder // away from any .env file
	s.cmd.Env = s.env
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan error, 1)
	s.exited = exited
	go func() { exited <- cmd.Wait() }()
	s.awaitReady()
}

func (s *process) awaitReady() {
	s.t.Helper()
	// This checks whether the server responds, not its identity.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	c := http.Client{Transport: transport, Timeout: 5 * time.Second}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for {
		resp, err := c.Get(s.url + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-s.exited:
			s.cmd = nil
			s.t.Fatalf("the server ended at its start: %v", err)
		case <-limit:
			s.t.Fatalf("the server does not serve within %v: %v", startLimit, err)
		case <-tick.C:
		}
	}
}

// kill sends SIGKILL and does not wait for a graceful shutdown.
func (s *process) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.cmd = nil
}

// stop shuts down gracefully; the process must exit with status 0.
func (s *process) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.exited:
		s.cmd = nil
		if err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
	case <-time.After(stopLimit):
		s.t.Fatalf("the server does not stop within %v", stopLimit)
	}
}

// maxOutput limits how much of the end of a process's output is kept.
const maxOutput = 64 << 10

// logBuffer keeps the end of what is written to it.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p)
	if over := b.buf.Len() - maxOutput; over > 0 {
		b.buf.Next(over)
	}
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// command runs the program as a client of the server and returns its output;
// any other status than 0 fails the test.
func (s *process) command(stdin []byte, args ...string) []byte {
	s.t.Helper()
	cmd := s.client(args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, stderr.Bytes())
	}
	return out
}

// client prepares a run of the program as a client of the server. It is
// killed when the test ends.
func (s *process) client(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), s.path, args...)
	cmd.Dir = s.folder
	cmd.Env = append([]string{"LOG_SERVICE_SERVER=" + s.url}, s.env[:3]...)
	return cmd
}
