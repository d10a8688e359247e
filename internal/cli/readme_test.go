package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/harness/log-service/internal/proctest"
)

// notRun maps commands of the README that the test cannot or need not run itself
// to their replacements.
var notRun = map[string]string{
	"go run ./cmd/log-service server": "serve",
	"go install ./cmd/...":            "",
	"make test":                       "",
}

// TestEveryCommandOfTheREADMEWorks converts the README's shell blocks to a script
// and runs it with the real programs: tails in the background, the others one
// after another. Each must exit with status 0.
func TestEveryCommandOfTheREADMEWorks(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	proctest.Program(t, "curl", "curl")
	script := "# written by TestEveryCommandOfTheREADMEWorks\n"
	seen := map[string]bool{}
	run, tails := 0, 0
	for i, block := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, ok := strings.Cut(block, "```")
		if !ok {
			t.Fatalf("shell block %d does not end", i)
		}
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			stand, special := notRun[line]
			switch {
			case line == "":
			case special:
				seen[line] = true
				script += stand + "\n"
			case strings.Contains(line, " tail "):
				script += "follow tail.out " + line + "\nshows tail.out hello\n"
				tails++
			default:
				// $LOG_SERVICE_SERVER is the running server, on a free port.
				line = strings.ReplaceAll(line, "http://localhost:8079", "$LOG_SERVICE_SERVER")
				script += "exec sh -c '" + strings.ReplaceAll(line, "'", "''") + "'\n"
				run++
			}
		}
	}
	for line := range notRun {
		if !seen[line] {
			t.Errorf("the README does not say %q", line)
		}
	}
	if run < 8 || tails != 1 {
		t.Fatalf("%d commands and %d tails found in the README, which is not what it has", run, tails)
	}
	script += "followed tail.out 0\nstop\n-- .curlrc --\nfail\nsilent\nshow-error\n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "readme.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	p := params(dir)
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("CURL_HOME", env.WorkDir) // makes curl fail on statuses of 400 and above
		return setup(env)
	}
	testscript.Run(t, p)
}
