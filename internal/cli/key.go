package cli

import (
	"strings"

	logservice "github.com/harness/log-service"
)

// target is the log that a command acts on, and the caller's account and token.
type target struct {
	account, token string
	key            logservice.Key
}

// ciKey identifies a log by the identifiers of a build step, or by its whole key as
// one path.
type ciKey struct {
	Project string  `arg:"" help:"Project; or the whole key as project/build/stage/step, instead of all four."`
	Build   *string `arg:"" optional:"" help:"Build."`
	Stage   *string `arg:"" optional:"" help:"Stage."`
	Step    *string `arg:"" optional:"" help:"Step."`
}

// resolve returns the key and the argument after it. If the first argument contains
// a "/", it is a path, and the argument after the key may be in any of the following
// positions. A single argument is a key, whatever it contains.
func (k ciKey) resolve(s *session, trailing *string) (t target, rest *string, err error) {
	args := []string{k.Project}
	for _, a := range []*string{k.Build, k.Stage, k.Step, trailing} {
		if a != nil {
			args = append(args, *a)
		}
	}
	t = target{account: s.root.Account, token: s.root.Token}
	n := 4
	switch {
	case strings.Contains(args[0], "/") || len(args) == 1:
		n = 1
		t.key, err = logservice.ParseKey(args[0])
	case len(args) < 4:
		return t, nil, usagef("%d arguments do not name a log: give project, build, stage and step, or one path like 1/2/3/4", len(args))
	default:
		t.key, err = logservice.CIKey(args[0], args[1], args[2], args[3])
	}
	switch {
	case err != nil:
		return t, nil, &usage{err: err}
	case len(args) == n:
		return t, nil, nil
	case len(args) == n+1:
		return t, &args[n], nil
	}
	return t, nil, usagef("unexpected argument %q after the key %s: put quotes around text with spaces", args[n+1], t.key)
}

func (ciKey) help(a action) string { return a.help() }

// only is resolve for a command without an argument after the key.
func (k ciKey) only(s *session) (target, error) {
	t, rest, err := k.resolve(s, nil)
	if err == nil && rest != nil {
		err = unexpected(*rest, t)
	}
	return t, err
}

// idKey identifies a log by account and key, as in later releases of the original
// Harness log service.
type idKey struct {
	AccountID string `arg:"" name:"accountID" help:"Account."`
	Token     string `arg:"" help:"Token; \"\" for a server without authentication."`
	Key       string `arg:"" help:"Key of the log."`
}

func (k idKey) resolve(_ *session, trailing *string) (t target, rest *string, err error) {
	id, err := logservice.ParseID(k.AccountID, k.Key)
	if err != nil {
		return target{}, nil, &usage{err: err}
	}
	return target{account: id.Account, token: k.Token, key: id.Key}, trailing, nil
}

func (idKey) help(a action) string { return example(a.idExample()) }
