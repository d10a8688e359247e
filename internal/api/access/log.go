package access

import (
	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// Log is a log that a caller may act on.
type Log struct{ id logservice.ID }

// ID returns the identity of the log.
func (l Log) ID() logservice.ID { return l.id }

// Tree is the set of logs at and below a prefix, in one account or in all, that a
// caller may act on. The zero value is empty.
type Tree struct {
	account string
	all     bool
	prefix  logservice.Key
}

// ID returns the account and prefix of a tree within one account.
func (t Tree) ID() logservice.ID { return logservice.ID{Account: t.account, Key: t.prefix} }

// All reports whether the tree spans all accounts.
func (t Tree) All() bool { return t.all }

// Filter returns the filter for the live logs of the tree.
func (t Tree) Filter() (logs.Filter, error) {
	if t.account == "" && !t.all { // the filter would select all accounts
		return logs.Filter{}, logservice.Invalidf("account is empty")
	}
	return logs.Filter{Account: t.account, Prefix: t.prefix}, nil
}

// Links verifies who signed a link.
type Links interface {
	VerifyLink(l service.Link) error
}

// Linked returns the log, or the prefix of a tree, that a link is for. The link
// replaces a token.
func Linked(by Links, l service.Link) (Log, error) {
	if err := by.VerifyLink(l); err != nil {
		return Log{}, err
	}
	return Log{l.ID}, nil
}
