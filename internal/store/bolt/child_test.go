//go:build linux

package bolt

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Tests of what a process as a whole does (being killed, peak memory, limits
// of the system) run it anew, as a child, with the name of its part in this
// variable.
const childVariable = "LOG_SERVICE_TEST_CHILD"

func TestMain(m *testing.M) {
	part, ok := os.LookupEnv(childVariable)
	if !ok {
		os.Exit(m.Run())
	}
	parts := map[string]func(args []string) error{
		"upload forever": childUploads,
		"pass through":   childPassesThrough,
		"read all":       childReadsAll,
	}
	name, args, _ := strings.Cut(part, "|")
	if err := parts[name](strings.Split(args, "|")); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// child starts a part of a test in a process of its own. Its output lines
// come from out; the test's end kills it.
func child(t *testing.T, part string, args ...string) (cmd *exec.Cmd, out *bufio.Scanner) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+part+"|"+strings.Join(args, "|"))
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(pipe)
}

// childOutput runs a part to its end and returns what it printed.
func childOutput(t *testing.T, part string, args ...string) string {
	t.Helper()
	cmd, out := child(t, part, args...)
	var b strings.Builder
	for out.Scan() {
		b.WriteString(out.Text() + "\n")
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("child: %v\n%s", err, b.String())
	}
	return b.String()
}

// noteReader prints a line after each step bytes.
type noteReader struct {
	r    io.Reader
	step int64
	n    int64
}

func (r *noteReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if (r.n+int64(n))/r.step > r.n/r.step {
		fmt.Println("read", r.n+int64(n))
	}
	r.n += int64(n)
	return n, err
}
