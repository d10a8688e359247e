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
		for !l.done {
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
	below   []byte // begins every key below the prefix
	next    []byte // the first key not yet seen
	done    bool
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
	l.below = l.account
	if prefix != "" {
		if _, err := logservice.ParseKey(string(prefix)); err != nil {
			return nil, err
		}
		l.exact = append(bytes.Clone(l.account), prefix...)
		// There are other keys between a key and those below it, "a-b" between
		// "a" and "a/b": the two are searched separately.
		l.below = append(bytes.Clone(l.exact), '/')
	}
	l.next = l.below
	return l, nil
}

// page reads the next entries in one transaction.
func (l *listing) page(s *Store) (found []listed, err error) {
	err = s.view(func(tx *txn) error {
		if l.exact != nil {
			err := tx.attempts(l.exact, func(key, value []byte) { found = append(found, entryOf(key, value)) })
			if err != nil {
				return err
			}
			l.exact = nil
		}
		l.done = true
		return tx.scan(bucketBlobs, l.next, func(key, value []byte) bool {
			if !bytes.HasPrefix(key, l.below) {
				return false
			}
			if len(found) >= listPage {
				l.next, l.done = bytes.Clone(key), false
				return false
			}
			found = append(found, entryOf(key, value))
			return true
		})
	})
	return found, err
}

func entryOf(key, value []byte) listed {
	_, k, _ := parseKey(key)
	rec, err := decodeRecord(key, value)
	return listed{entry: logs.BlobEntry{Key: k, Info: rec.info}, err: err}
}
