//go:build race

package e2e_test

// raceEnabled says that the tests were built with the race detector; the
// program that they run is then built with it too.
const raceEnabled = true
