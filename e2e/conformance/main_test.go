package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/harness/log-service/internal/stream/streamtest"
)

func TestMain(m *testing.M) {
	// These tests mostly wait for disks and other programs. -parallel on the command
	// line overrides this.
	set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	if os.Getenv(streamtest.LongEnv) == "" {
		// Of a sequence of calls each step is a request or two here; the full number
		// is for the engines' own tests.
		set("rapid.checks", "20")
	}
	os.Exit(m.Run())
}

func set(name, value string) {
	if err := flag.Set(name, value); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
