package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestFailingSystemCallsLoseNothing makes system calls of the running server fail,
// several times each, while clients write, follow and close logs. Every second time
// it also kills the server.
func TestFailingSystemCallsLoseNothing(t *testing.T) {
	t.Parallel()
	if os.Getenv(streamtest.LongEnv) == "" {
		t.Skip("one of the long tests")
	}
	path := proctest.Program(t, "strace", "strace")
	faults := []string{
		"fdatasync:error=EIO:when=7+40",
		"fsync:error=EIO:when=1+2",
		"pwrite64:error=EIO:when=9+60",
		"pwrite64:error=ENOSPC:when=5+30",
		"fallocate:error=ENOSPC:when=1+2",
		"openat:error=EMFILE:when=1+3",
		"openat:error=ENFILE:when=1+2",
		"renameat,renameat2,rename:error=EIO:when=1+2",
	}
	limit := 20 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s := startServer(t, plainProgram(t))
	l := newLoad(ctx, newWire(s.url))
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i, fault := range faults {
		if err := l.await(50); err != nil {
			t.Fatalf("before %s: %v", fault, err)
		}
		before := l.acks.Load()
		detach := inject(t, path, s.cmd.Process.Pid, fault)
		if err := l.progress(2000, 10*time.Second); err != nil {
			t.Fatalf("%s: %v", fault, err)
		}
		if i%2 == 1 {
			s.kill()
		}
		injected := detach()
		if i%2 == 1 {
			s.start()
		}
		t.Logf("%s: %d calls failed, %d batches acknowledged meanwhile", fault, injected, l.acks.Load()-before)
		failed += injected
	}
	if err := l.await(200); err != nil {
		t.Fatal(err)
	}
	if err := l.finish(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for key, log := range l.logs {
		if err := log.check(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		lines += len(log.archive)
	}
	t.Logf("%d calls failed; %d lines and %d short logs checked: lost 0, doubled 0, hidden 0", failed, lines, l.short.Load())
}

// inject makes system calls of process pid fail until detach is called, which
// returns how many failed.
func inject(t *testing.T, strace string, pid int, fault string) (detach func() int) {
	t.Helper()
	calls, _, _ := strings.Cut(fault, ":")
	cmd := exec.Command(strace, "-f", "-qq", "-p", strconv.Itoa(pid), "-e", "trace="+calls, "-e", "inject="+fault)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() int {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		n := bytes.Count(out.Bytes(), []byte("(INJECTED)"))
		if n == 0 {
			t.Errorf("no call of %s failed; strace wrote: %.300s", fault, out.Bytes())
		}
		return n
	}
}
