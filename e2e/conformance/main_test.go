package conformance_test

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/harness/log-service/internal/stream/streamtest"
)

func TestMain(m *testing.M) {
	// These tests mostly wait for disks and other programs. -parallel on the command
	// line overrides this.
	if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	streamtest.LimitChecks(20) // each call is a request or two
	os.Exit(m.Run())
}
