package logservice

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Key names a log within its account: one or more segments separated by "/".
// Create one with ParseKey; unparsed keys are checked wherever they enter the
// server.
type Key string

// ID is the identity of a log: a pair, never a joined path. Backends encode it
// injectively, so that no key of one account refers to another.
type ID struct {
	Account string
	Key     Key
}

// ParseKey checks s against the rules for keys: 1 to MaxKeyBytes bytes of
// UTF-8, no control characters, no empty segment, no "." or ".." segment. The
// error wraps ErrInvalid and names the value and the rule.
func ParseKey(s string) (Key, error) {
	if s == "" {
		return "", Invalidf("key is empty: name the log, for example project/build/stage/step")
	}
	if len(s) > MaxKeyBytes {
		return "", Invalidf("key of %d bytes is too long: at most %d", len(s), MaxKeyBytes)
	}
	if err := printable("key", s); err != nil {
		return "", err
	}
	for seg := range strings.SplitSeq(s, "/") {
		switch seg {
		case "":
			return "", Invalidf("key %q has an empty segment: write one / between segments and none at the ends", s)
		case ".", "..":
			return "", Invalidf("key %q has a segment %q: a key is a name, not a path", s, seg)
		}
	}
	return Key(s), nil
}

// CIKey returns the key of a step of a build, project/build/stage/step. Each
// part is one segment.
func CIKey(project, build, stage, step string) (Key, error) {
	for _, part := range []string{project, build, stage, step} {
		if strings.Contains(part, "/") {
			return "", Invalidf("identifier %q contains a /: project, build, stage and step must each be one segment", part)
		}
	}
	return ParseKey(project + "/" + build + "/" + stage + "/" + step)
}

// InternalAccount contains the engines' own data in a blob store. No request
// can access it: ParseAccount rejects it, and only ID.Check accepts it.
const InternalAccount = ".internal"

// ParseAccount checks an account identifier: 1 to MaxAccountBytes bytes of
// UTF-8, no "/", no control characters, not "." or ".." or InternalAccount.
func ParseAccount(s string) (string, error) {
	switch {
	case s == InternalAccount:
		return "", Invalidf("account %q is reserved", s)
	case s == "":
		return "", Invalidf("account is empty")
	case len(s) > MaxAccountBytes:
		return "", Invalidf("account of %d bytes is too long: at most %d", len(s), MaxAccountBytes)
	case strings.Contains(s, "/"), s == ".", s == "..":
		return "", Invalidf("account %q is not a name: no / and not . or ..", s)
	}
	return s, printable("account", s)
}

// ParseID parses both halves of an identity.
func ParseID(account, key string) (ID, error) {
	a, err := ParseAccount(account)
	if err != nil {
		return ID{}, err
	}
	k, err := ParseKey(key)
	if err != nil {
		return ID{}, err
	}
	return ID{Account: a, Key: k}, nil
}

// Check is for stores: it returns nil for what ParseID accepts, and for
// identities in InternalAccount.
func (id ID) Check() error {
	if err := CheckAccount(id.Account); err != nil {
		return err
	}
	_, err := ParseKey(string(id.Key))
	return err
}

// CheckAccount is ParseAccount for stores: it accepts InternalAccount.
func CheckAccount(s string) error {
	if s == InternalAccount {
		return nil
	}
	_, err := ParseAccount(s)
	return err
}

// commandUnit separates a step of Harness from its parts, whose logs have keys
// such as <step>-commandUnit:Execute. Whoever closes or deletes those of the step
// names the step alone.
const commandUnit = "-commandUnit:"

// Under reports whether k is p or below it: after p, k continues with "/" or
// "-commandUnit:". So "run:1/a" is under "run:1", and "run:10" is not. Every key is
// under the empty key.
func (k Key) Under(p Key) bool {
	rest, ok := strings.CutPrefix(string(k), string(p))
	return ok && (p == "" || rest == "" || rest[0] == '/' || strings.HasPrefix(rest, commandUnit))
}

// Below returns how the keys below k start, k itself excluded: each of them in
// exactly one of these ways. They are in byte order. K must not be empty.
func (k Key) Below() []string {
	return []string{string(k) + commandUnit, string(k) + "/"}
}

func (k Key) String() string { return string(k) }

// String is for messages only: it is not injective.
func (id ID) String() string { return id.Account + ":" + string(id.Key) }

func printable(what, s string) error {
	if !utf8.ValidString(s) {
		return Invalidf("%s %q is not UTF-8", what, s)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return Invalidf("%s %q contains the control character %U", what, s, r)
		}
	}
	return nil
}
