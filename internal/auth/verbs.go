package auth

import (
	"strings"

	logservice "github.com/harness/log-service"
)

// Verbs is a set of operations: those that a token grants, or those of which a
// route requires one.
type Verbs uint8

// The verbs of tokens.
const (
	Push   Verbs = 1 << iota // open a live log, append to it, close it
	Tail                     // follow a log
	Read                     // read and list stored logs
	Write                    // store a whole log, or replace one
	Delete                   // delete stored logs, discard lines of live ones
	Admin                    // all of these

	// Global is the privilege of the global token: make tokens for accounts, list
	// the live logs of all accounts, delete below a prefix. A token with Admin for
	// all accounts has it too.
	Global
	// Public marks a route that requires no token. No token has it.
	Public
)

const everyVerb = Push | Tail | Read | Write | Delete | Admin

// verbNames are the names of the verbs, in the order of their bits.
var verbNames = [...]string{"push", "tail", "read", "write", "delete", "admin"}

// ParseVerbs parses verbs separated by commas or spaces. The error is
// logservice.ErrInvalid.
func ParseVerbs(s string) (Verbs, error) {
	return verbsOf(strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }))
}

func verbsOf(names []string) (v Verbs, err error) {
	for _, name := range names {
		bit := verb(name)
		if bit == 0 {
			return 0, logservice.Invalidf("verb %q is none of %s", name, strings.Join(verbNames[:], ", "))
		}
		v |= bit
	}
	if v == 0 {
		return 0, logservice.Invalidf("no verbs: name some of %s", strings.Join(verbNames[:], ", "))
	}
	return v, nil
}

func verb(name string) Verbs {
	for i, n := range verbNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// Names returns the names of v in a fixed order.
func (v Verbs) Names() (names []string) {
	for i, n := range verbNames {
		if v&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// String returns the names of v separated by commas, as ParseVerbs accepts them.
func (v Verbs) String() string {
	switch {
	case v&Public != 0:
		return "public"
	case v&Global != 0:
		return "global"
	}
	return strings.Join(v.Names(), ",")
}
