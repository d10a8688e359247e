package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(startLimit); !holds(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("not within %v: %s", startLimit, what)
		}
	}
}

// producer is a program whose output is piped into push --tee: what it prints must
// come out of that at once, whatever happens to the server.
type producer struct {
	t      *testing.T
	cmd    *exec.Cmd
	pipe   io.WriteCloser
	tee    *os.File
	stderr bytes.Buffer
	text   bytes.Buffer // that was printed
}

// producer starts a push to a log, with extra variables of its environment.
func (s *process) producer(t *testing.T, env []string, args ...string) *producer {
	t.Helper()
	cmd := s.client(append([]string{"cistream", "push", "--tee"}, append(args, "-")...)...)
	cmd.Env = append(cmd.Env, env...)
	return produce(t, cmd)
}

func produce(t *testing.T, cmd *exec.Cmd) *producer {
	t.Helper()
	p := &producer{t: t, cmd: cmd}
	var err error
	if p.tee, err = os.Create(filepath.Join(t.TempDir(), "tee")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.tee.Close() })
	cmd.Stdout, cmd.Stderr = p.tee, &p.stderr
	if p.pipe, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// print writes lines of a size, and waits until the tee has them.
func (p *producer) print(lines, size int) {
	p.t.Helper()
	from := p.text.Len()
	for n := range lines {
		fmt.Fprintf(&p.text, "%d %s\n", n, strings.Repeat("x", size))
	}
	if _, err := p.pipe.Write(p.text.Bytes()[from:]); err != nil {
		p.t.Fatalf("push does not read: %v\n%s", err, p.stderr.String())
	}
	eventually(p.t, "the tee prints everything", func() bool {
		st, err := p.tee.Stat()
		return err == nil && st.Size() == int64(p.text.Len())
	})
}

// end ends the output; push must exit with a status, and say what matches on
// standard error, in one line.
func (p *producer) end(status int, says string) {
	p.t.Helper()
	if err := p.pipe.Close(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // the status is checked below
	out, _, _ := strings.Cut(p.stderr.String(), "hint: ")
	if got := p.cmd.ProcessState.ExitCode(); got != status || !regexp.MustCompile(says).MatchString(out) || strings.Count(out, "\n") > 1 {
		p.t.Errorf("status %d, want %d and %q:\n%s", got, status, says, out)
	}
	tee, err := os.ReadFile(p.tee.Name())
	if err != nil || !bytes.Equal(tee, p.text.Bytes()) {
		p.t.Errorf("the tee differs: %s, error %v", difference(tee, p.text.Bytes()), err)
	}
}

// delivered waits until the log has everything that was printed.
func (p *producer) delivered(s *process, key string, flags ...string) {
	p.t.Helper()
	eventually(p.t, "the log has everything", func() bool { return bytes.Equal(s.text(key, flags...), p.text.Bytes()) })
}

// text returns the text of a log, nil if there is none.
func (s *process) text(key string, flags ...string) []byte {
	out, _ := s.client(append([]string{"logs", key}, flags...)...).Output()
	return out
}

const lostLines = `^error: \d+ of \d+ lines \(\d+ bytes\) were not delivered: `

func TestAPushNeverHarmsTheProgramBeforeIt(t *testing.T) {
	t.Parallel()
	secret := "LOG_SERVICE_SECRET=0123456789abcdef0123456789abcdef"
	s := startServer(t, program(t), secret)
	create := func(args ...string) string {
		cmd := s.client(append([]string{"token", "create"}, args...)...)
		cmd.Env = append(cmd.Env, secret)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	token := "LOG_SERVICE_TOKEN=" + create("--verbs", "admin")
	flag := "--token=" + strings.TrimPrefix(token, "LOG_SERVICE_TOKEN=")

	t.Run("the server is killed, away, and comes back", func(t *testing.T) {
		p := s.producer(t, []string{token}, "--open", "--close", "away/1")
		p.print(100, 10)
		p.delivered(s, "away/1", flag)
		s.kill()
		p.print(20_000, 10)
		s.start()
		p.end(0, `^$`)
		if got := s.text("away/1", flag); !bytes.Equal(got, p.text.Bytes()) {
			t.Errorf("the log differs: %s", difference(got, p.text.Bytes()))
		}
	})
	for _, effort := range []string{"", "--best-effort"} {
		t.Run("the server does not come back "+effort, func(t *testing.T) {
			args, status, says := []string{"--open", "--close", "--timeout", "1s", "gone/1" + effort}, 6, lostLines
			if effort != "" {
				args, status, says = append([]string{effort}, args...), 0, strings.Replace(lostLines, "error", "note", 1)
			}
			p := s.producer(t, []string{token}, args...)
			p.print(100, 10)
			p.delivered(s, "gone/1"+effort, flag)
			s.kill()
			p.print(20_000, 10)
			p.end(status, says+".*connection refused")
			s.start()
		})
	}
	t.Run("the log is closed", func(t *testing.T) {
		p := s.producer(t, []string{token}, "--open", "--close", "closed/1")
		p.print(100, 10)
		p.delivered(s, "closed/1", flag)
		s.command(nil, "cistream", "close", flag, "closed/1")
		p.print(20_000, 10)
		p.end(6, lostLines+".*the log is closed")
	})
	t.Run("the token is no longer valid", func(t *testing.T) {
		p := s.producer(t, []string{token}, "--open", "expired/1")
		p.print(100, 10)
		p.delivered(s, "expired/1", flag)
		s.kill()
		s.env[len(s.env)-1] += "another"
		s.start()
		p.print(20_000, 10)
		p.end(6, lostLines+".*not permitted")
	})
}

// TestAPushIsBounded stops the server, and pushes more than the memory of push, or
// more than its temporary file, too.
func TestAPushIsBounded(t *testing.T) {
	t.Parallel()
	if unraced(t) { // memory is measured
		return
	}
	s := startServer(t, plainProgram(t))
	lines := streamtest.Scale(60_000, 60_000, 900_000)
	for _, c := range []struct{ key, spool, says string }{
		{"spooled/1", "1GiB", `^$`},
		{"full/1", "8MiB", lostLines + "the writer's memory and its temporary file were full"},
	} {
		t.Run(c.key, func(t *testing.T) {
			status := 0
			if c.says != "^$" {
				status = 6
			}
			tmp := t.TempDir()
			p := s.producer(t, []string{"TMPDIR=" + tmp}, "--open", "--close", "--spool", c.spool, c.key)
			p.print(100, 10)
			p.delivered(s, c.key)
			if err := proctest.Suspend(s.cmd.Process); err != nil {
				t.Fatal(err)
			}
			p.print(lines, 1000)
			if err := proctest.Resume(s.cmd.Process); err != nil {
				t.Fatal(err)
			}
			eventually(t, "lines arrive", func() bool { return len(s.text(c.key)) > 10<<20 })
			// Not of its usage when it has ended: that includes what this process
			// had when it started it.
			peak, err := (&process{cmd: p.cmd}).memory("VmHWM")
			if err != nil || peak > 90<<20 {
				t.Errorf("push needed %d MiB of memory, error %v", peak>>20, err)
			}
			t.Logf("%d MiB printed, peak RSS %d MiB", p.text.Len()>>20, peak>>20)
			p.end(status, c.says)
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("files that are left: %v, error %v", left, err)
			}
			got := s.text(c.key)
			if status == 0 && !bytes.Equal(got, p.text.Bytes()) {
				t.Errorf("the log differs: %s", difference(got, p.text.Bytes()))
			}
			lost := regexp.MustCompile(`error: (\d+) of \d+ lines \((\d+) bytes\)`).FindStringSubmatch(p.stderr.String())
			if status == 6 && !bytes.Contains(got, fmt.Appendf(nil, "[%s lines (%s bytes) were not delivered", lost[1], lost[2])) {
				t.Errorf("the log does not say that %s lines are missing", lost[1])
			}
		})
	}
}

func TestSIGHUPIsAnOrderlyStop(t *testing.T) {
	t.Parallel()
	s := startServer(t, program(t))
	s.command(nil, "cistream", "open", "1/2")
	p := s.producer(t, nil, "1/2")
	p.print(10, 10)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // the status is checked below
	if got := p.cmd.ProcessState.ExitCode(); got != 130 || !bytes.Equal(s.text("1/2"), p.text.Bytes()) {
		t.Errorf("status %d, in the log %q", got, s.text("1/2"))
	}

	// Under nohup it is ignored.
	ignoring := s.client("cistream", "push", "--tee", "--open", "3/4", "-")
	ignoring.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh", ignoring.Path}, ignoring.Args[1:]...)
	ignoring.Path = "/bin/sh"
	p = produce(t, ignoring)
	p.print(10, 10)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.print(10, 10)
	p.end(0, `^$`)
	if got := s.text("3/4"); !bytes.Equal(got, p.text.Bytes()) {
		t.Errorf("the log differs: %s", difference(got, p.text.Bytes()))
	}

	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := <-s.exited; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	s.cmd = nil
}
