package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// Set by the linker in builds with make, which asks git:
// -ldflags "-X github.com/harness/log-service/internal/cli.version=v1.2.3".
var (
	version string // a tag, or commits after it: v1.2.3-4-g0123456789ab
	commit  string // in full
)

// outputJSON is the value of -o for machines.
const outputJSON = "json"

// outputFlag is for commands with machine-readable output.
type outputFlag struct {
	Output string `short:"o" enum:"text,json" default:"text" env:"LOG_SERVICE_OUTPUT" help:"Print text or json (${default})."`
}

type versionCmd struct {
	outputFlag
}

func (*versionCmd) Help() string {
	return example("log-service version -o json")
}

func (c *versionCmd) Run(s *session) error {
	b := thisBuild()
	if c.Output == "json" {
		return json.NewEncoder(s.Stdout).Encode(b)
	}
	return b.print(s.Stdout, s.Name)
}

// versionFlag does the same as the version command.
type versionFlag bool

func (versionFlag) BeforeReset(ctx *kong.Context) error {
	if err := thisBuild().print(ctx.Stdout, ctx.Model.Name); err != nil {
		return err
	}
	return errPrinted
}

// build describes what the program was built from.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`   // empty if unknown
	Modified bool   `json:"modified,omitempty"` // the working tree had uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.complete(info)
	}
	return b
}

// complete adds what the Go tool knows and the linker was not given: an installed
// module has a version, a checkout has a commit.
func (b *build) complete(info *debug.BuildInfo) {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if b.Commit == "" {
		b.Commit = settings["vcs.revision"]
	}
	b.Modified = settings["vcs.modified"] == "true" || strings.HasSuffix(b.Version, "-dirty")
	switch v := info.Main.Version; {
	case b.Version != "":
	case v == "" || v == "(devel)":
		b.Version = "devel"
	default:
		b.Version = v
	}
}

func (b build) print(w io.Writer, program string) error {
	from := "commit unknown"
	if b.Commit != "" {
		from = "commit " + b.Commit
	}
	if b.Modified {
		from += ", modified"
	}
	_, err := fmt.Fprintf(w, "%s %s (%s, %s, %s)\n", program, b.Version, from, b.Go, b.Platform)
	return err
}
