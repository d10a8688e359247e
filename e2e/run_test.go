package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestARunAroundABuildSurvivesItsServer runs the verbose build of this project under
// run, while the server is killed, away and restarted. The build passes its status
// through, and the archive is what it printed. The quick run has the commands of the
// build printed and not run.
func TestARunAroundABuildSurvivesItsServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, program(t))
	build, absence := `go build -a -n ./...`, time.Duration(0)
	if os.Getenv(streamtest.LongEnv) != "" {
		build, absence = `go build -a -x ./...`, time.Minute
	}
	dir := t.TempDir()
	plain, local, gate := filepath.Join(dir, "plain"), filepath.Join(dir, "local"), filepath.Join(dir, "gate")
	out, err := os.Create(local)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := s.client("run", "1/2/3/4", "--", "sh", "-c",
		`(`+build+`) 2>&1 | tee `+plain+`; until test -e `+gate+`; do sleep 0.05; done; echo done | tee -a `+plain+` >&2; exit 7`)
	cmd.Dir = ".." // the build's; the settings are in the environment
	cmd.Env = append(os.Environ(), cmd.Env...)
	cmd.Stdout, cmd.Stderr = out, out // so that there is one order
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the status is checked below
	}()

	eventually(t, "lines arrive", func() bool { return len(s.text("1/2/3/4")) > 1000 })
	s.kill()
	if err := os.WriteFile(gate, nil, 0o600); err != nil { // its end is printed while the server is away
		t.Fatal(err)
	}
	if absence > 0 {
		<-time.After(absence) // this test's subject, not a synchronization
	} else {
		eventually(t, "the build ends", func() bool {
			content, err := os.ReadFile(plain)
			return err == nil && bytes.HasSuffix(content, []byte("done\n"))
		})
	}
	s.start()
	<-ended

	if got := cmd.ProcessState.ExitCode(); got != 7 {
		t.Errorf("status %d", got)
	}
	want, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	printed, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	note := fmt.Sprintf("note: the log: log-service logs 1/2/3/4 --server %s\n", s.url)
	if !bytes.Equal(printed, append(bytes.Clone(want), note...)) {
		t.Errorf("what run prints differs: %s", difference(printed, want))
	}
	for _, args := range [][]string{{"logs", "1/2/3/4"}, {"cistore", "download", "1/2/3/4", "--format", "text"}} {
		if got := s.command(nil, args...); !bytes.Equal(got, want) {
			t.Errorf("%v differs: %s", args, difference(got, want))
		}
	}
	t.Logf("%d lines, %d bytes", bytes.Count(want, []byte("\n")), len(want))
}

// started runs a command under run until it prints ready.
func started(t *testing.T, s *process, key, script string) (*exec.Cmd, *logBuffer) {
	t.Helper()
	cmd := s.client("run", key, "--", "sh", "-c", script)
	var out logBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command is ready", func() bool { return strings.Contains(out.String(), "ready") })
	return cmd, &out
}

func TestARunPassesSignalsAndEnds(t *testing.T) {
	t.Parallel()
	s := startServer(t, program(t))
	for name, sig := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, out := started(t, s, "sig/"+name, `trap "echo caught; exit 5" `+name+`; echo ready; while :; do sleep 0.05; done`)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the status is checked below
			if got := cmd.ProcessState.ExitCode(); got != 5 || string(s.text("sig/"+name)) != "ready\ncaught\n" {
				t.Errorf("status %d, in the log %q:\n%s", got, s.text("sig/"+name), out)
			}
		})
		t.Run(name+", not caught", func(t *testing.T) {
			t.Parallel()
			cmd, out := started(t, s, "end/"+name, `echo ready; exec sleep 1000`)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the status is checked below
			if got := cmd.ProcessState.ExitCode(); got != 128+int(sig) || string(s.text("end/"+name)) != "ready\n" {
				t.Errorf("status %d, in the log %q:\n%s", got, s.text("end/"+name), out)
			}
		})
	}
	t.Run("a process left in the background", func(t *testing.T) {
		t.Parallel()
		cmd, out := started(t, s, "left/1", `sleep 1000 & echo $! ready`)
		pid, err := strconv.Atoi(strings.Fields(out.String())[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the status is checked below
		if got := cmd.ProcessState.ExitCode(); got != 0 {
			t.Errorf("status %d:\n%s", got, out)
		}
		left, err := os.FindProcess(pid)
		if err == nil {
			err = left.Kill()
		}
		if err != nil {
			t.Errorf("the process did not go on: %v", err)
		}
	})
}
