package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/faultproxy"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// buildLog is a real log of tens of thousands of lines: what the verbose
// build of this project prints, with the standard library and the toolchain.
// The quick run has the commands of that build printed and not run.
func buildLog(t *testing.T) []byte {
	t.Helper()
	args := []string{"build", "-a", "-n", "std", "cmd", "./..."}
	if os.Getenv(streamtest.LongEnv) != "" {
		args = []string{"build", "-a", "-x", "./..."}
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out[max(0, len(out)-2000):])
	}
	lines := bytes.Count(out, []byte("\n"))
	if lines < 5_000 {
		t.Fatalf("the log has only %d lines", lines)
	}
	t.Logf("%v: %d lines, %d bytes", cmd.Args, lines, len(out))
	return out
}

// TestARealBuildLogComesOutAsItWentIn pipes a build log into the program, follows
// it with three of its tails, one of them slow and one repeatedly cut off, and reads
// it back after the close.
func TestARealBuildLogComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	log := buildLog(t)
	want := sum(log)
	s := startServer(t, program(t))
	proxy := startProxy(t, faultproxy.Config{
		Target: s.addr, Seed: 3,
		Down: faultproxy.Range{Min: 1, Max: int64(len(log)) / 5},
	})
	s.command(nil, "cistream", "open", "1", "2", "3", "4")

	var tails errgroup.Group
	follow := func(name string, slow bool, args ...string) {
		cmd := s.client(append([]string{"cistream", "tail", "1", "2", "3", "4"}, args...)...)
		var stderr logBuffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		tails.Go(func() error {
			if slow {
				out = io.NopCloser(&slowReader{r: out, pause: 2 * time.Second / time.Duration(1+len(log)/slowBytes)})
			}
			got, err := io.ReadAll(out)
			if werr := cmd.Wait(); err == nil {
				err = werr
			}
			if err != nil {
				return fmt.Errorf("%s tail: %w\n%s", name, err, stderr.String())
			}
			if sum(got) != want {
				return fmt.Errorf("%s tail differs: %s", name, difference(got, log))
			}
			return nil
		})
	}
	follow("plain", false)
	follow("slow", true)
	follow("cut", false, "--server", "http://"+proxy.Addr())

	s.command(log, "cistream", "push", "1", "2", "3", "4", "-")
	s.command(nil, "cistream", "close", "1", "2", "3", "4")
	if err := tails.Wait(); err != nil {
		t.Fatal(err)
	}
	if proxy.Cuts() < 3 {
		t.Errorf("only %d connections were cut", proxy.Cuts())
	}

	for _, args := range []string{
		"cistore download 1 2 3 4 --format text",
		"cistream tail 1 2 3 4",
		"logs 1/2/3/4",
	} {
		if got := s.command(nil, strings.Fields(args)...); sum(got) != want {
			t.Errorf("%s after the close differs: %s", args, difference(got, log))
		}
	}
	s.stop()
	s.start()
	if got := s.command(nil, "cistore", "download", "1", "2", "3", "4", "--format", "text"); sum(got) != want {
		t.Errorf("download after a restart differs: %s", difference(got, log))
	}
}

// slowBytes is how much a slowReader reads at a time: far less than the pipes and
// sockets between it and the server hold.
const slowBytes = 8 << 10

// slowReader reads little at a time with pauses, so that its source has to wait.
type slowReader struct {
	r     io.Reader
	pause time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	<-time.After(s.pause)
	return s.r.Read(p[:min(len(p), slowBytes)])
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// difference describes the first line that differs.
func difference(got, want []byte) string {
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			return fmt.Sprintf("line %d is %.200q, want %.200q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d rows, want %d", len(g), len(w))
}
