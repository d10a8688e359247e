package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// outputFlag is for commands that print something to parse.
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
	v := buildVersion(s.Version)
	if c.Output == "json" {
		return json.NewEncoder(s.Stdout).Encode(map[string]string{
			"version": v, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
		})
	}
	_, err := fmt.Fprintf(s.Stdout, "%s %s (%s, %s/%s)\n", s.Name, v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion is the version that the linker was told, or else what the Go
// tool knows: the module's version, or the commit of the checkout.
func buildVersion(linked string) string {
	info, ok := debug.ReadBuildInfo()
	if linked != "" || !ok {
		return linked
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel " + s.Value[:12]
		}
	}
	return "devel"
}
