package bolt

import (
	"bytes"
	"context"
	"iter"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// listPage limits the entries collected by one read transaction of a listing.
const listPage = 128

// List yields the logs of an account; see logs.Store. A damaged record is
// yielded as its key with an error; the listing continues after it.
func (s *Store) List(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[logs.BlobEntry, error] {
	return logs.PerLog(func(yield func(logs.BlobEntry, error) bool) {
		l, err := newListing(account, prefix)
		if err != nil {
			yield(logs.BlobEntry{}, err)
			return
		}
		for len(l.below) > 0 {
			if err := context.Cause(ctx); err != nil {
				yield(logs.BlobEntry{}, err)
				return
			}
			page, err := l.page(s)
			if err != nil {
				yield(logs.BlobEntry{}, err)
				return
			}
			for _, found := range page {
				if !yield(found.entry, s.about(logservice.ID{Account: account, Key: found.entry.Key}, "list", found.err)) {
					return
				}
			}
		}
	})
}

// listing is the progress of a listing.
type listing struct {
	account []byte // with its NUL: begins every key of the account
	exact   []byte // the key of the prefix itself; nil once it has been seen
	// Other keys are between a key and those below it, "a-b" between "a" and
	// "a/b": each range is searched separately.
	below [][]byte // what the keys of each remaining range start with, the current one first
	next  []byte   // the first key not yet seen in it
}

type listed struct {
	entry logs.BlobEntry
	err   error
}

func newListing(account string, prefix logservice.Key) (*listing, error) {
	if err := logservice.CheckAccount(account); err != nil {
		return nil, err
	}
	l := &listing{account: append([]byte(account), 0)}
	l.below = [][]byte{l.account}
	if prefix != "" {
		if _, err := logservice.ParseKey(string(prefix)); err != nil {
			return nil, err
		}
		l.exact = append(bytes.Clone(l.account), prefix...)
		l.below = nil
		for _, start := range prefix.Below() {
			l.below = append(l.below, append(bytes.Clone(l.account), start...))
		}
	}
	l.next = l.below[0]
	return l, nil
}

// page reads the next entries of a range in one transaction.
func (l *listing) page(s *Store) (found []listed, err error) {
	err = s.view(func(tx *txn) error {
		if l.exact != nil {
			err := tx.attempts(l.exact, func(key, value []byte) { found = append(found, entryOf(key, value)) })
			if err != nil {
				return err
			}
			l.exact = nil
		}
		more := false
		err := tx.scan(bucketBlobs, l.next, func(key, value []byte) bool {
			if !bytes.HasPrefix(key, l.below[0]) {
				return false
			}
			if more = len(found) >= listPage; more {
				l.next = bytes.Clone(key)
				return false
			}
			found = append(found, entryOf(key, value))
			return true
		})
		if err == nil && !more {
			l.advance()
		}
		return err
	})
	return found, err
}

// advance continues with the next range.
func (l *listing) advance() {
	if l.below = l.below[1:]; len(l.below) > 0 {
		l.next = l.below[0]
	}
}

func entryOf(key, value []byte) listed {
	_, k, _ := parseKey(key)
	rec, err := decodeRecord(key, value)
	return listed{entry: logs.BlobEntry{Key: k, Info: rec.info}, err: err}
}
