package access

import (
	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// Log is a log that a caller may act on.
type Log struct{ id logservice.ID }

// ID is the identity of the log.
func (l Log) ID() logservice.ID { return l.id }

// Tree is every log of an account, or of all, at and below a prefix, which a
// caller may act on. The zero value has none.
type Tree struct {
	account string
	all     bool
	prefix  logservice.Key
}

// ID is the account and the prefix of a tree within one account.
func (t Tree) ID() logservice.ID { return logservice.ID{Account: t.account, Key: t.prefix} }

// All reports whether the tree is one of all accounts.
func (t Tree) All() bool { return t.all }

// Filter selects the live logs of the tree.
func (t Tree) Filter() (logs.Filter, error) {
	if t.account == "" && !t.all { // the filter would take it for all
		return logs.Filter{}, logservice.Invalidf("account is empty")
	}
	return logs.Filter{Account: t.account, Prefix: t.prefix}, nil
}

// Links is who signed a link.
type Links interface {
	VerifyLink(l service.Link) error
}

// Linked is the log, or the prefix of a tree, that a link is for: a link takes
// the place of a token.
func Linked(by Links, l service.Link) (Log, error) {
	if err := by.VerifyLink(l); err != nil {
		return Log{}, err
	}
	return Log{l.ID}, nil
}
