package cli

import "context"

// logCmd is a command on one log: K is how the log is named, A the action. cistore
// and store have the same commands, and so have cistream and stream; they differ
// only in how they name logs.
type logCmd[K keyArgs, A action] struct {
	Key    K `embed:""`
	Action A `embed:""`
}

// keyArgs are arguments that name a log.
type keyArgs interface {
	// resolve returns the log and the argument after its name. trailing is what
	// was parsed as that argument.
	resolve(s *session, trailing *string) (t target, rest *string, err error)
	help(a action) string
}

// action is what a command does with a log: a struct of flags.
type action interface {
	// argument returns the argument after the log's name, nil if absent. takes
	// is false if there is no such argument.
	argument() (value *string, takes bool)
	run(ctx context.Context, s *session, t target, argument *string) error

	help() string      // for logs named by build step
	idExample() string // for logs named by account, token and key
}

// noArgument is for actions without an argument after the log's name.
type noArgument struct{}

func (noArgument) argument() (*string, bool) { return nil, false }

func (c *logCmd[K, A]) Help() string { return c.Key.help(c.Action) }

func (c *logCmd[K, A]) Run(ctx context.Context, s *session) error {
	value, takes := c.Action.argument()
	t, rest, err := c.Key.resolve(s, value)
	if err != nil {
		return err
	}
	if rest != nil && !takes {
		return unexpected(*rest, t)
	}
	return c.Action.run(ctx, s, t, rest)
}

func unexpected(argument string, t target) error {
	return usagef("unexpected argument %q after the key %s", argument, t.key)
}
