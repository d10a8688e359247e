package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

// explainTime limits what is done only to improve a message.
const explainTime = 5 * time.Second

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
	err = c.Action.run(ctx, s, t, rest)
	switch any(c.Action).(type) {
	case pushFlags, closeFlags:
		if errors.Is(err, logservice.ErrStreamNotFound) && s.hasEnded(ctx, t) {
			return withHint(&closedError{err}, "open it again for its next attempt: %s cistream open %s", s.Name, t.key)
		}
	}
	return err
}

// closedError reports that a log is not live any more. For the server, such a log
// is like one that never was.
type closedError struct{ err error }

func (e *closedError) Error() string {
	said := logservice.ErrStreamNotFound.Error()
	return strings.Replace(e.err.Error(), said, "the log is closed ("+said+")", 1)
}
func (e *closedError) Unwrap() error { return e.err }

// hasEnded reports whether there is a log that has ended.
func (s *session) hasEnded(ctx context.Context, t target) bool {
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	c, err := s.client(t, client.Retry{})
	if err != nil {
		return false
	}
	for _, err := range c.LinesRaw(ctx, t.key) {
		return err == nil || isDamage(err)
	}
	return true // it has no lines
}

func unexpected(argument string, t target) error {
	return usagef("unexpected argument %q after the key %s", argument, t.key)
}
