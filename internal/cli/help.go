package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	logservice "github.com/harness/log-service"
)

// programName is the program name in examples; help replaces it by the name in use.
const programName = "log-service"

// thisCommand stands for the command in the help that several commands share.
const thisCommand = "{command}"

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
					n.Detail = strings.ReplaceAll(n.Detail, thisCommand, n.FullPath())
				}
				return next(nil)
			})
		}).Apply(k)
	})
}

// printHelp prints the help of a command without the global flags, which would be
// longer than the rest, and one line about them.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	hide(ctx.Model, true)
	defer hide(ctx.Model, false)
	options.NoAppSummary = true // it does not wrap
	if _, err := fmt.Fprint(ctx.Stdout, usageOf(ctx)); err != nil {
		return err
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintf(ctx.Stdout, "\nGlobal flags, such as --server, --account and --token: %s help flags\n", ctx.Model.Name)
	return err
}

// usageOf returns the line that begins the help of a command, wrapped to 80 columns.
func usageOf(ctx *kong.Context) string {
	const width, indent = 80, "      "
	text := ctx.Model.Name + ctx.Model.Summary()
	if cmd := ctx.Selected(); cmd != nil {
		text = ctx.Model.Name + " " + cmd.Summary()
	}
	line, out := "Usage:", ""
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			out += line + "\n"
			line = indent
		}
		line += " " + word
	}
	return out + line + "\n"
}

// hide hides the global flags, or shows them.
func hide(app *kong.Application, hidden bool) {
	for _, f := range app.Flags {
		f.Hidden = hidden
	}
}

type helpFlag bool

func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errPrinted
}

// groupHelp makes "help" a subcommand of a group of commands.
type groupHelp struct {
	HelpCmd helpCmd `cmd:"" name:"help" hidden:"" help:"Show the help of a command."`
}

// helpCmd is the same as the flag --help, for people who try it first.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command; or flags, for those that all commands have."`
}

func (*helpCmd) Help() string {
	return example(thisCommand, "log-service help cistream push", "log-service help flags")
}

func (c *helpCmd) Run(ctx context.Context, parsed *kong.Context, s *session) error {
	group := parsed.Selected().Parent
	if group.Parent == nil && len(c.Command) == 1 && c.Command[0] == "flags" {
		return s.printFlags()
	}
	args := strings.Fields(group.FullPath())[1:] // without the program
	return s.run(ctx, append(append(args, c.Command...), "--help"))
}

// printFlags prints the global flags.
func (s *session) printFlags() error {
	var none struct {
		globals `embed:"" group:"Flags of all commands, also as environment variables and in contexts:"`
	}
	parser, err := kong.New(&none, kong.Name(s.Name), kong.Writers(s.Stdout, s.Stderr), kong.NoDefaultHelp(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppSummary: true}), defaults())
	if err != nil {
		return err
	}
	if _, err := parser.Parse([]string{"--help"}); !errors.Is(err, errPrinted) {
		return err
	}
	_, err = fmt.Fprintf(s.Stdout, "\nFlags take precedence over the environment, and that over contexts:\n%s help context\n", s.Name)
	return err
}
