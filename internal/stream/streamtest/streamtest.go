// Package streamtest is the conformance suite of logs.Streams: the requirements
// for every engine of live logs, as tests. An engine passes it with one call:
//
//	streamtest.Run(t, streamtest.Backend{Open: func(t *testing.T) logs.Streams { ... }})
//
// The suite uses the engine only through the contract, so the same tests run
// against the engine itself and against a whole server over HTTP.
package streamtest

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

// Backend is an engine under test and its limitations.
type Backend struct {
	// Open returns an empty engine and releases it with t.Cleanup.
	Open func(t *testing.T) logs.Streams

	// Reopen stops the engine s and restarts it with what it stored. It is nil
	// for an engine without storage. What Open and Reopen return is released by
	// Open's cleanup.
	Reopen func(t *testing.T, s logs.Streams) logs.Streams

	// SlowReopen means that Reopen takes long: the quick run restarts the
	// engine only in the tests of restarts, not in every sequence of calls.
	SlowReopen bool

	// Variant means that the engine runs the suite in another configuration too:
	// the quick run repeats here less what is about chance.
	Variant bool

	// Remote means that a whole service is between the suite and the engine:
	//   - Close also deletes the stream, there is no separate Delete;
	//   - lines with pos and time are always subject to retry recognition;
	//   - a cursor gets acknowledged lines soon, not at once;
	//   - identities are checked before they reach the engine;
	//   - times to live are reported in whole seconds.
	Remote bool
}

// Run runs the whole suite, each group with its own engine.
func Run(t *testing.T, b Backend) {
	groups := []struct {
		name string
		test func(*testing.T, Backend)
	}{
		{"open", testOpen},
		{"attempt", testAttempt},
		{"append", testAppend},
		{"offset", testOffset},
		{"recognized retries", testDedupe},
		{"follow", testFollow},
		{"ready", testReady},
		{"close and delete", testClose},
		{"claim", testClaim},
		{"list", testList},
		{"time to live", testTTL},
		{"identities are apart", testIsolation},
		{"many writers and readers see one order", testConcurrent},
		{"close delivers everything", testBurst},
		{"restart", testRestart},
		{"any sequence of calls behaves as the model", testModel},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) { g.test(t, b) })
	}
}

// RunModel runs only the last group of the suite: random sequences of calls.
func RunModel(t *testing.T, b Backend) { testModel(t, b) }

// LimitChecks sets how many random sequences of calls a model is compared with,
// unless LongEnv is set or the command line has a number. It is for TestMain of
// packages where a call takes long.
func LimitChecks(n int) {
	if os.Getenv(LongEnv) != "" {
		return
	}
	if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
		panic(err) // the model has such a flag
	}
}

// LongEnv enables the full size of the suite; see Scale.
const LongEnv = "LOG_SERVICE_TEST_LONG"

// Scale selects the size of a test: short under -short, long if LongEnv is set,
// quick otherwise.
func Scale(short, quick, long int) int {
	switch {
	case os.Getenv(LongEnv) != "":
		return long
	case testing.Short():
		return short
	}
	return quick
}
