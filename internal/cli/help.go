package cli

import (
	"strings"

	"github.com/alecthomas/kong"

	logservice "github.com/harness/log-service"
)

// programName is how examples call the program; help shows the name it was
// called by instead.
const programName = "log-service"

// example is what a command's help shows as such.
func example(commands ...string) string {
	return "Example:\n\n    " + strings.Join(commands, "\n    ")
}

// defaults fills the variables of the flags' tags, and puts the program's own
// name into examples.
func defaults() kong.Option {
	return kong.OptionFunc(func(k *kong.Kong) error {
		if err := (kong.Vars{"server": logservice.DefaultServer, "account": logservice.DefaultAccount}).Apply(k); err != nil {
			return err
		}
		return kong.PostBuild(func(k *kong.Kong) error {
			return kong.Visit(k.Model, func(v kong.Visitable, next kong.Next) error {
				switch n := v.(type) {
				case *kong.Application:
					n.Detail = strings.ReplaceAll(n.Detail, programName+" ", n.Name+" ")
				case *kong.Node:
					n.Detail = strings.ReplaceAll(n.Detail, programName+" ", k.Model.Name+" ")
				}
				return next(nil)
			})
		}).Apply(k)
	})
}
