package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/harness/log-service/internal/stream/streamtest"
)

// programs builds the binary once for all tests that want it.
type programs struct {
	folder string
	tested func() (string, error) // with the race detector where the tests have it
	plain  func() (string, error) // without it, where memory is measured
}

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
	if os.Getenv(streamtest.LongEnv) == "" {
		// Of a sequence of calls each step is a request or two here; the full
		// number is for the engines' own tests.
		if err := flag.Set("rapid.checks", "30"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

func build(folder, name string, flags ...string) (string, error) {
	path := filepath.Join(folder, name, "log-service")
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "../cmd/log-service")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return path, nil
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
