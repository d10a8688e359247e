package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/alecthomas/kong"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

type runCmd struct {
	Key     ciKey    `embed:""`
	Command []string `arg:"" optional:"" help:"The command and its arguments, after --."`

	deliveryFlags
}

func (*runCmd) Help() string {
	return example("log-service run 1/2/3/4 -- make test", "log-service run --mask-env API_KEY 1 2 3 4 -- ./deploy.sh") +
		"\n\nThe log is opened, gets what the command prints, and is closed when the command ends. The command never notices: its output is " +
		"printed here as it comes, lines wait in memory and in a temporary file while the server is away, and the exit status is that of the " +
		"command (128 plus the signal if one ended it), whatever happens to the log. SIGINT, SIGTERM and SIGHUP are passed to the command."
}

func (c *runCmd) Run(s *session, line *kong.Context) error {
	name, command := c.split(line.Args)
	if len(name) == 0 || len(command) == 0 {
		return &usage{err: errors.New("no key, or no command to run"), hint: "put the command after the key and --: " + s.Name + " run 1/2/3/4 -- make test"}
	}
	t, err := keyOf(name).only(s)
	if err != nil {
		return err
	}
	process := newChild(s, command)
	defer process.stop()
	d, err := s.deliver(t, append(c.options(t), client.AutoOpen())...)
	if err == nil {
		process.log = d.w
	}
	status := process.run()
	if err == nil {
		err = d.finish(process.interrupted, true)
	}
	reportRun(s, t.key, err)
	return &commandEnded{status}
}

// split returns the arguments before the first -- of the command line, and those
// after it. The parser does not tell them apart: a key has one to four arguments.
func (c *runCmd) split(line []string) (name, command []string) {
	args := []string{c.Key.Project}
	for _, a := range []*string{c.Key.Build, c.Key.Stage, c.Key.Step} {
		if a != nil {
			args = append(args, *a)
		}
	}
	args = append(args, c.Command...)
	n := len(args)
	if i := slices.Index(line, "--"); i >= 0 {
		n = max(0, n-(len(line)-i-1))
	}
	return args[:n], args[n:]
}

// keyOf returns the arguments of a key.
func keyOf(args []string) ciKey {
	k := ciKey{Project: args[0]}
	for i, a := range []**string{&k.Build, &k.Stage, &k.Step} {
		if i+1 < len(args) {
			*a = &args[i+1]
		}
	}
	return k
}

// reportRun prints the one line that run adds: where the log is, or what it lacks.
func reportRun(s *session, key logservice.Key, err error) {
	switch {
	case err != nil:
		fmt.Fprintf(s.Stderr, "note: log %s: %s\n", key, s.inOneLine(err)) // also if quiet
	case !s.root.Quiet:
		command := s.Name + " logs " + string(key)
		if s.root.ServerURL != logservice.DefaultServer {
			command += " --server " + s.root.ServerURL
		}
		if s.root.Account != logservice.DefaultAccount {
			command += " --account " + s.root.Account
		}
		s.note("the log: %s", command)
	}
}

// commandEnded carries the status of a command that has run. All there is to say
// has been printed.
type commandEnded struct{ status int }

func (c *commandEnded) Error() string {
	return fmt.Sprintf("the command ended with status %d", c.status)
}
