package proctest

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of a program that the package pkg of Debian installs.
// Where it is missing, so is the test: see Missing.
func Program(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name) // not in every user's PATH
	}
	if err != nil {
		Missing(t, name+" (Debian: apt-get install "+pkg+")")
	}
	return path
}

// Missing skips a test that needs what this machine does not have. With CI=true,
// where everything must be tested, it fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("missing, though CI=true:", what)
	}
	t.Skip("SKIPPED, NOT TESTED: missing:", what)
}
