package cli

import (
	"strings"

	"github.com/alecthomas/kong"

	logservice "github.com/harness/log-service"
)

// programName is the program name in examples; help replaces it by the name in use.
const programName = "log-service"

// example formats the examples in a command's help.
func example(commands ...string) string {
	return "Example:\n\n    " + strings.Join(commands, "\n    ")
}

// defaults sets the variables of the flags' tags and puts the actual program name
// into examples.
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
