// Package setting declares settings of the server: the environment variable of
// each, what it means, its default, and which values it accepts.
//
// A package that has settings declares them once, in a method Settings of its
// configuration. Package config reads them all. The tables of docs/configuration.md
// and the list in `log-service server --help` are made from the declarations.
package setting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Prefix is the prefix of every setting.
const Prefix = "LOG_SERVICE_"

// Setting is one environment variable of the server. Create one with Func or one
// of the functions for common types.
type Setting struct {
	Names    []string // without Prefix; the first one is documented, the others are also accepted
	Foreign  []string // variables of other programs that apply if none of Names is set
	Meaning  string   // in Markdown
	Fallback string   // the default, in the form of a value; empty if there is none
	Absence  string   // what applies if the setting is unset and has no Fallback, in Markdown

	parse func(value string) error
}

// Func returns a setting whose values are parsed, checked and stored by parse. Its
// error is the rule that a value violates; the report of it shows the value.
func Func(name, meaning string, parse func(value string) error) *Setting {
	return &Setting{Names: []string{name}, Meaning: meaning, Absence: "unset", parse: parse}
}

// Default sets the default.
func (s *Setting) Default(value string) *Setting {
	s.Fallback = value
	return s
}

// Unset documents what applies if the setting is unset.
func (s *Setting) Unset(absence string) *Setting {
	s.Absence = absence
	return s
}

// Or adds another name, without Prefix.
func (s *Setting) Or(name string) *Setting {
	s.Names = append(s.Names, name)
	return s
}

// OrForeign adds variables of other programs that apply if the setting is unset;
// the first one set wins.
func (s *Setting) OrForeign(variables ...string) *Setting {
	s.Foreign = append(s.Foreign, variables...)
	return s
}

// Error reports an invalid setting.
type Error struct {
	Name  string // including the prefix
	Value string // empty if the setting is secret
	Rule  string // the rule it violates, and what to write instead
	Hint  string // how to fix it, if the rule does not say so
}

func (e *Error) Error() string {
	if e.Value == "" {
		return e.Name + ": " + e.Rule
	}
	return fmt.Sprintf("%s=%s: %s", e.Name, strconv.Quote(Redacted(e.Value)), e.Rule)
}

// Redacted returns a value for a message: of an address with a user and a password,
// only what follows these.
func Redacted(value string) string {
	i := strings.LastIndexByte(value, '@')
	if i < 0 {
		return value
	}
	scheme := 0
	if j := strings.Index(value[:i], "://"); j >= 0 {
		scheme = j + len("://")
	}
	return value[:scheme] + hidden + value[i:]
}

// Env is an environment: variables by name. An empty variable counts as unset.
type Env map[string]string

// Load sets all settings from env, or to their defaults. Each error is an *Error.
func (env Env) Load(all []*Setting) (errs []error) {
	for _, s := range all {
		name, value, err := env.find(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if value == "" {
			name, value = Prefix+s.Names[0], s.Fallback
		}
		if value == "" {
			continue
		}
		if err := s.parse(value); err != nil {
			errs = append(errs, &Error{Name: name, Value: value, Rule: err.Error()})
		}
	}
	return errs
}

// find returns the value of a setting and the variable that it is from. It is an
// error if two names of the setting have different values.
func (env Env) find(s *Setting) (name, value string, err error) {
	for _, n := range s.Names {
		v := env[Prefix+n]
		switch {
		case v == "":
		case value == "":
			name, value = Prefix+n, v
		case v != value:
			return "", "", &Error{Name: Prefix + n, Rule: "it differs from " + name, Hint: "they are two names of one setting: remove one of them"}
		}
	}
	if i := slices.IndexFunc(s.Foreign, func(n string) bool { return env[n] != "" }); value == "" && i >= 0 {
		name, value = s.Foreign[i], env[s.Foreign[i]]
	}
	return name, value, nil
}
