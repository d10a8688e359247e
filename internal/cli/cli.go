// Package cli is the command line of the log service: one program with the names
// log-service and log-server, and one file per verb. Data goes to standard output,
// everything else to standard error.
package cli

import (
	"context"
	"errors"
	"io"
	"reflect"
	"time"

	"github.com/alecthomas/kong"
)

// Program describes how the program was called.
type Program struct {
	Name    string   // shown in help and hints: log-service or log-server
	Environ []string // in the form of os.Environ; the source of server settings
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// globals are the flags common to all commands.
type globals struct {
	Help    helpFlag    `short:"h" help:"Show what the command does, its flags and an example."`
	Version versionFlag `help:"Print the version and exit."`

	Context   string        `placeholder:"NAME" env:"LOG_SERVICE_CONTEXT" help:"Context that has server, account and token (the one of \"context use\")."`
	ServerURL string        `name:"server" placeholder:"URL" env:"LOG_SERVICE_SERVER" help:"Server to talk to; for live logs also grpc://HOST:PORT (${server})."`
	Account   string        `placeholder:"NAME" env:"LOG_SERVICE_ACCOUNT" help:"Account that the logs belong to (${account})."`
	Token     string        `placeholder:"TOKEN" env:"LOG_SERVICE_TOKEN" help:"Access token."`
	CAFile    string        `name:"ca-file" placeholder:"FILE" env:"LOG_SERVICE_CA_FILE" help:"Certificate authority of an https or grpcs server, PEM; trusted in addition to the system's."`
	Cert      string        `name:"client-cert" placeholder:"FILE" env:"LOG_SERVICE_CLIENT_CERT" help:"Client certificate for mutual TLS, PEM; needs --client-key."`
	Key       string        `name:"client-key" placeholder:"FILE" env:"LOG_SERVICE_CLIENT_KEY" help:"Private key of --client-cert, PEM."`
	Timeout   time.Duration `placeholder:"TIME" env:"LOG_SERVICE_TIMEOUT" help:"Abort the command after this time, for example 30s (no limit); of push and run, the wait for the server at the end."`
	Quiet     bool          `short:"q" env:"LOG_SERVICE_QUIET" help:"Print no notes and no progress."`
	Verbose   bool          `env:"LOG_SERVICE_VERBOSE" help:"Report on standard error what is sent and retried."`
	V         bool          `name:"v" short:"v" help:"Like --verbose; with --grep, print the lines that do not match."`
}

// verbose reports whether to report what is sent. A -v of --grep is not.
func (g *globals) verbose() bool { return g.Verbose || g.V }

// root is the tree of commands.
type root struct {
	globals `embed:"" group:"Global flags:"`

	Cistream   cistreamCmd   `cmd:"" group:"Live logs:" help:"Live logs, named by project, build, stage and step."`
	RunCommand runCmd        `cmd:"" name:"run" group:"Live logs:" help:"Run a command and stream its output to a log."`
	Logs       logsCmd       `cmd:"" group:"Finished logs:" help:"Print a log, live or finished."`
	Cistore    cistoreCmd    `cmd:"" group:"Finished logs:" help:"Finished logs, named by project, build, stage and step."`
	Server     serverCmd     `cmd:"" group:"Server:" help:"Run the log service."`
	Tokens     tokenCmd      `cmd:"" name:"token" group:"Server:" help:"Create, inspect and revoke tokens."`
	Store      storeCmd      `cmd:"" hidden:"" help:"Finished logs, named by account, token and key."`
	Stream     streamCmd     `cmd:"" hidden:"" help:"Live logs, named by account, token and key."`
	Contexts   contextCmd    `cmd:"" name:"context" group:"Setup:" help:"Servers, accounts and tokens by name."`
	Completion completionCmd `cmd:"" group:"Setup:" help:"Print a completion script for a shell."`
	Versions   versionCmd    `cmd:"" name:"version" group:"Setup:" help:"Print the version and the commit."`
	HelpCmd    helpCmd       `cmd:"" name:"help" group:"Setup:" help:"Show the help of a command, or of the global flags."`
	Complete   completeCmd   `cmd:"" hidden:"" help:"Complete a command line, for the scripts of completion."`
}

// Help shows the life of a log. Command groups do the same.
func (*root) Help() string {
	return example("log-service server", "log-service cistream open 1 2 3 4", `make 2>&1 | log-service cistream push 1 2 3 4 -`,
		"log-service cistream tail 1 2 3 4", "log-service cistream close 1 2 3 4", "log-service cistore download 1 2 3 4")
}

func (*cistoreCmd) Help() string {
	return example("log-service cistore upload 1 2 3 4 /path/to/logs.json", "log-service cistore download 1 2 3 4")
}

func (*cistreamCmd) Help() string {
	return example("log-service cistream open 1 2 3 4", `log-service cistream push 1 2 3 4 "echo hello"`, "log-service cistream close 1 2 3 4")
}

func (*storeCmd) Help() string {
	return example(`log-service store upload default "" 1/2/3/4 /path/to/logs.json`, `log-service store download default "" 1/2/3/4`)
}

func (*streamCmd) Help() string {
	return example(`log-service stream open default "" 1/2/3/4`, `log-service stream push default "" 1/2/3/4 "echo hello"`, `log-service stream close default "" 1/2/3/4`)
}

type cistoreCmd struct {
	Upload       logCmd[ciKey, uploadFlags]   `cmd:"" help:"Store a file, or standard input, as a finished log."`
	Download     logCmd[ciKey, downloadFlags] `cmd:"" help:"Print a finished log."`
	UploadLink   logCmd[ciKey, uploadLink]    `cmd:"" help:"Print a URL for uploading a log without a token."`
	DownloadLink logCmd[ciKey, downloadLink]  `cmd:"" help:"Print a URL for downloading a log without a token."`

	groupHelp
}

type cistreamCmd struct {
	Open  logCmd[ciKey, openFlags]  `cmd:"" help:"Open a live log."`
	Push  logCmd[ciKey, pushFlags]  `cmd:"" help:"Append a message, or standard input, to a live log."`
	Tail  logCmd[ciKey, tailFlags]  `cmd:"" help:"Follow a live log until it ends."`
	Close logCmd[ciKey, closeFlags] `cmd:"" help:"End a live log and archive it."`
	Info  infoCmd                   `cmd:"" help:"List the live logs."`

	groupHelp
}

// storeCmd and streamCmd are the spelling of later releases of the original Harness
// log service: the same verbs, with account, token and key as arguments.
type storeCmd struct {
	Upload       logCmd[idKey, uploadFlags]   `cmd:"" help:"Store a file, or standard input, as a finished log."`
	Download     logCmd[idKey, downloadFlags] `cmd:"" help:"Print a finished log."`
	UploadLink   logCmd[idKey, uploadLink]    `cmd:"" help:"Print a URL for uploading a log without a token."`
	DownloadLink logCmd[idKey, downloadLink]  `cmd:"" help:"Print a URL for downloading a log without a token."`

	groupHelp
}

type streamCmd struct {
	Open  logCmd[idKey, openFlags]   `cmd:"" help:"Open a live log."`
	Push  logCmd[idKey, idPushFlags] `cmd:"" help:"Append a message, or standard input, to a live log."`
	Tail  logCmd[idKey, tailFlags]   `cmd:"" help:"Follow a live log until it ends."`
	Close logCmd[idKey, closeFlags]  `cmd:"" help:"End a live log and archive it."`
	Info  idInfoCmd                  `cmd:"" help:"List the live logs."`

	groupHelp
}

// errPrinted reports that the output that a flag requested, help or the version, has
// been printed.
var errPrinted = errors.New("printed what a flag asked for")

// Run runs the command given by args, which exclude the program name, and returns
// the exit status.
func Run(ctx context.Context, p Program, args []string) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	s := &session{Program: p, root: new(root)}
	err := s.run(ctx, args)
	if err == nil {
		return exitOK
	}
	return s.report(ctx, err)
}

func (s *session) run(ctx context.Context, args []string) error {
	*s.root = root{}
	parser, err := newParser(&s.Program, s.root)
	if err != nil {
		return err
	}
	s.model = parser.Model
	parsed, err := parser.Parse(args)
	if errors.Is(err, errPrinted) {
		return nil
	}
	if err != nil {
		return usageError(s.Name, err)
	}
	if s.root.Timeout < 0 {
		return usagef("--timeout %v is negative", s.root.Timeout)
	}
	s.signals = ctx
	if s.root.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.root.Timeout, errTimeout)
		defer cancel()
	}
	if usesContext(parsed.Selected()) {
		if err := s.settle(); err != nil {
			return err
		}
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed.Run(s)
}

// usesContext reports whether a command has to do with a server, an account or a
// token. The others work whatever the contexts are like.
func usesContext(n *kong.Node) bool {
	for ; n != nil; n = n.Parent {
		switch n.Name {
		case "server", "context", "completion", "complete", "version", "help":
			return false
		}
	}
	return true
}

func newParser(p *Program, cmds *root) (*kong.Kong, error) {
	return kong.New(cmds,
		kong.Name(p.Name),
		kong.Description("Logs of builds: pushed line by line, watched live, kept forever."),
		kong.Writers(p.Stdout, p.Stderr),
		kong.NoDefaultHelp(),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		defaults(),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
	)
}
