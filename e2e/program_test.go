package e2e_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// programs builds the binary once for all tests that want it.
type programs struct {
	folder string
	tested func() (string, error) // with the race detector where the tests have it
	plain  func() (string, error) // without it, where memory is measured
	tests  func() (string, error) // these tests without it: see unraced
}

// plainEnv tells a process of unraced where the plain program is.
const plainEnv = "LOG_SERVICE_E2E_PLAIN"

var built programs // made by TestMain

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "log-service-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	built.folder = folder
	built.plain = sync.OnceValues(func() (string, error) { return build(folder, "plain") })
	if path := os.Getenv(plainEnv); path != "" {
		built.plain = func() (string, error) { return path, nil }
	}
	built.tests = sync.OnceValues(func() (string, error) {
		path := filepath.Join(folder, "e2e.test")
		return path, compile("test", "-c", "-o", path, ".")
	})
	built.tested = built.plain
	if raceEnabled {
		built.tested = sync.OnceValues(func() (string, error) { return build(folder, "race", "-race") })
	}
	// These tests mostly wait: for disks, for other programs, and for leases of
	// servers that were killed. -parallel on the command line overrides this.
	if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(folder, name string, flags ...string) (string, error) {
	path := filepath.Join(folder, name, "log-service")
	args := append([]string{"build", "-o", path}, flags...)
	return path, compile(append(args, "../cmd/log-service")...)
}

func compile(args ...string) error {
	cmd := exec.Command("go", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}

// program returns the path of the binary under test.
func program(t *testing.T) string {
	t.Helper()
	return must(t, built.tested)
}

func plainProgram(t *testing.T) string {
	t.Helper()
	return must(t, built.plain)
}

func must(t *testing.T, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// unraced runs the test in a process without the race detector, if this one has it,
// and reports whether it did. It is for clients of the plain program: nothing of the
// product is in their process, and with a million lines the detector takes most of
// the time.
func unraced(t *testing.T) bool {
	t.Helper()
	if !raceEnabled {
		return false
	}
	names := strings.Split(t.Name(), "/")
	for i, n := range names {
		names[i] = "^" + regexp.QuoteMeta(n) + "$"
	}
	args := []string{"-test.v", "-test.run", strings.Join(names, "/"), fmt.Sprint("-test.short=", testing.Short())}
	if end, ok := t.Deadline(); ok {
		args = append(args, fmt.Sprint("-test.timeout=", time.Until(end)))
	}
	cmd := exec.CommandContext(t.Context(), must(t, built.tests), args...)
	cmd.Env = append(os.Environ(), plainEnv+"="+plainProgram(t))
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name())):
		t.Skipf("%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Fatalf("%v did not run it:\n%s", cmd.Args, out)
	}
	t.Logf("%s", out)
	return true
}
