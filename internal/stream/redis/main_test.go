package redis_test

import (
	"os"
	"testing"

	"github.com/harness/log-service/internal/stream/streamtest"
)

func TestMain(m *testing.M) {
	streamtest.LimitChecks(40) // of several suites; each call is a request or two
	os.Exit(m.Run())
}
