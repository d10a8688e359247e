package cli

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/setting"
)

// commands calls visit for every command and every group of commands.
func commands(t *testing.T, name string, visit func(n *kong.Node)) {
	t.Helper()
	parser, err := newParser(&Program{Name: name, Stdout: io.Discard, Stderr: io.Discard}, &root{})
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		visit(n)
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(parser.Model.Node)
}

func TestTheHelpOfEveryCommandShowsAnExampleOfIt(t *testing.T) {
	for _, name := range []string{"log-service", "log-server"} {
		commands(t, name, func(n *kong.Node) {
			if n.Help == "" || !strings.Contains(n.Detail, "Example:\n") || !strings.Contains(n.Detail, n.FullPath()) {
				t.Errorf("%s: help %q, detail %q: no help, or no example", n.FullPath(), n.Help, n.Detail)
			}
		})
	}
}

func TestTheDocumentationNamesEveryCommandAndFlag(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	commands(t, "log-service", func(n *kong.Node) {
		if !n.Leaf() {
			return
		}
		if !n.Parent.Hidden && !strings.Contains(doc, n.FullPath()) {
			t.Errorf("docs/cli.md has no example of %s", n.FullPath())
		}
		for _, f := range n.Flags {
			// A flag that is on by default is documented in its negated form.
			if !strings.Contains(doc, "--"+f.Name) && !strings.Contains(doc, "--no-"+f.Name) {
				t.Errorf("docs/cli.md does not name --%s of %s", f.Name, n.FullPath())
			}
		}
	})
}

func TestHelpFitsATerminal(t *testing.T) {
	commands(t, "log-service", func(n *kong.Node) {
		var out strings.Builder
		args := strings.Fields(n.FullPath())[1:]
		if n.Name == "server" { // most of it is the list of settings
			return
		}
		Run(t.Context(), Program{Name: "log-service", Stdout: &out, Stderr: &out}, append(args, "--help"))
		lines := strings.Split(out.String(), "\n")
		for _, line := range lines {
			if len(line) > 80 {
				t.Errorf("%s: %d columns: %q", n.FullPath(), len(line), line)
			}
		}
		if len(lines) > 50 {
			t.Errorf("%s: %d lines of help", n.FullPath(), len(lines))
		}
		if strings.Contains(out.String(), "--client-key") || !strings.Contains(out.String(), "log-service help flags\n") {
			t.Errorf("%s: the global flags are not behind one line:\n%s", n.FullPath(), out.String())
		}
	})
}

func TestTheHelpOfTheServerListsEverySetting(t *testing.T) {
	help := (*serverCmd)(nil).Help()
	for _, g := range new(config.Config).Groups() {
		for _, s := range g.Settings {
			if !strings.Contains(help, "\n    "+setting.Prefix+s.Names[0]) {
				t.Errorf("server --help does not list %s", s.Names[0])
			}
		}
	}
	for _, part := range []string{"LOG_SERVICE_MEMORY=256MiB\n        Memory for lines of all live logs", "Address for live logs over gRPC, host:port; off disables it\n"} {
		if !strings.Contains(help, part) {
			t.Errorf("server --help does not contain %q:\n%s", part, help)
		}
	}
}
