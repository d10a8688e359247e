// Package streamtest is the conformance suite of logs.Streams: what every
// engine of live logs must do, stated as tests. An engine passes it by one
// call:
//
//	streamtest.Run(t, streamtest.Backend{Open: func(t *testing.T) logs.Streams { ... }})
//
// The suite talks to the engine through the contract alone, so the same tests
// run against the engine itself and against a whole server behind HTTP.
package streamtest

import (
	"os"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

// Backend is an engine under test and what it cannot do.
type Backend struct {
	// Open returns an empty engine and releases it with t.Cleanup.
	Open func(t *testing.T) logs.Streams

	// Reopen stops the engine s and starts it again over what it stored. Nil
	// for an engine that keeps nothing. What Open and Reopen return is
	// released by Open's cleanup.
	Reopen func(t *testing.T, s logs.Streams) logs.Streams

	// SlowReopen says that a Reopen takes long: the quick run restarts it in
	// the tests of restarts, and not in any sequence of calls too.
	SlowReopen bool

	// Remote says that a whole service stands between the suite and the
	// engine:
	//   - Close deletes the stream too, there is no Delete of its own;
	//   - lines that carry pos and time are always subject to recognition;
	//   - a cursor has the acknowledged lines soon, not at once;
	//   - identities are checked before they reach the engine;
	//   - times to live are told in whole seconds.
	Remote bool
}

// Run runs the whole suite, each group on an engine of its own.
func Run(t *testing.T, b Backend) {
	groups := []struct {
		name string
		test func(*testing.T, Backend)
	}{
		{"open", testOpen},
		{"append", testAppend},
		{"offset", testOffset},
		{"recognised retries", testDedupe},
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

// RunModel runs the last group of the suite alone: random sequences of calls.
func RunModel(t *testing.T, b Backend) { testModel(t, b) }

// LongEnv makes the suite run at its full size; see Scale.
const LongEnv = "LOG_SERVICE_TEST_LONG"

// Scale picks the size of a test: short under -short, long where LongEnv is
// set, quick otherwise.
func Scale(short, quick, long int) int {
	switch {
	case os.Getenv(LongEnv) != "":
		return long
	case testing.Short():
		return short
	}
	return quick
}
