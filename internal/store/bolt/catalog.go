package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// bbolt trusts its pages: a damaged one that the checks of tree.go do not find
// makes it panic, or read beyond the end of the file, and a bad sector is a fault
// of its mapping. guard converts all of them to errors. That suffices, because
// transactions run bbolt on the calling goroutine and bbolt starts no goroutines
// in the functions used here.

// guard runs f and converts a panic in it to an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPages, p)
		}
	}()
	return f()
}

// catalog is the file with the records of all blobs, and the bytes of small ones.
type catalog struct {
	*blobFiles
	path  string
	pause time.Duration // between attempts to recover, and of maintenance

	db      atomic.Pointer[handle] // nil: see failed
	failed  atomic.Pointer[failure]
	reading atomic.Int64 // read transactions that are open or about to be opened
	known   bool         // the folder existed at Open, so the file at path is a catalog
	startBy time.Time    // when Open stops checking pages; zero: never
	punched punched      // owned by maintain
}

// handle is an open catalog.
type handle struct {
	db   *bbolt.DB
	file *os.File // the file of db, with its lock
	// known are the pages that need no further check.
	known pageCache
}

// failure is why there is no catalog. The writer recovers from it; see
// recover.go.
type failure struct {
	err      error // for callers: ErrUnavailable
	damaged  bool  // it must be rebuilt
	starting bool  // start has not succeeded yet; otherwise reopening it suffices
	readable bool  // its readable parts are still being read
	poisoned bool  // a panic may have left bbolt's locks locked: its Close would hang
	attempts int   // failed attempts to recover
	next     time.Time
}

// fail takes the catalog out of use.
func (c *catalog) fail(cause error, f failure) error {
	f.err = outOfUse(c.path, cause)
	if !c.failed.CompareAndSwap(nil, &f) {
		return c.failed.Load().err
	}
	c.log.Error("the catalog of the blob store is out of use; trying to recover", "file", c.path, "error", cause)
	return f.err
}

// outOfUse is the error for callers until the catalog is in use again. Damage of
// its pages is not one of a blob, which may well be there after the rebuild.
func outOfUse(path string, cause error) error {
	if errors.Is(cause, logs.ErrDamaged) {
		cause = errors.New(cause.Error())
	}
	return &logservice.UnavailableError{Cause: fmt.Errorf("%s is out of use: %w", path, cause)}
}

// view runs fn in a read transaction. fn must copy what it keeps.
func (c *catalog) view(fn func(*txn) error) error {
	if f := c.failed.Load(); f != nil && !f.readable {
		return f.err
	}
	c.reading.Add(1)
	defer c.reading.Add(-1)
	tx, err := c.begin(false)
	if err != nil {
		return err
	}
	var own error
	err = guard(func() error {
		defer func() { _ = tx.Rollback() }()
		own = fn(tx)
		return nil
	})
	if err == nil && errors.Is(own, errPages) {
		err = own
	}
	if err != nil { // other pages can still be read during the rebuild
		return c.fail(err, failure{damaged: true, readable: true})
	}
	return c.alarmIf(own)
}

// update runs fn in a write transaction and commits it. inFn reports that fn
// itself failed, so nothing was written. Only the writer calls it.
func (c *catalog) update(fn func(*txn) error) (inFn bool, err error) {
	if f := c.failed.Load(); f != nil {
		return false, f.err
	}
	tx, err := c.begin(true)
	if err != nil {
		return false, err
	}
	if err = guard(func() error { return fn(tx) }); err != nil {
		if back := guard(tx.Rollback); back != nil {
			return false, c.fail(back, failure{damaged: true, poisoned: true})
		}
		if errors.Is(err, errPages) {
			return false, c.fail(err, failure{damaged: true, readable: true})
		}
		return true, fmt.Errorf("%s: %w", c.path, err)
	}
	err = guard(tx.Commit)
	tx.pages.known.remove(tx.replaced)
	return false, c.commitFailed(err)
}

func (c *catalog) begin(writable bool) (tx *txn, err error) {
	err = bolterrors.ErrDatabaseNotOpen
	h := c.db.Load()
	if h != nil {
		tx = &txn{}
		err = guard(func() (err error) {
			if tx.Tx, err = h.db.Begin(writable); err == nil {
				tx.pages = treeOf(tx.Tx, h.file)
				tx.pages.mapped, tx.pages.known, tx.pages.touched = mapping(tx.Tx), &h.known, &tx.replaced
			}
			return err
		})
	}
	switch {
	case err == nil:
		return tx, nil
	case errors.Is(err, logs.ErrDamaged):
		return nil, c.fail(err, failure{damaged: true, poisoned: true})
	case !errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	if f := c.failed.Load(); f != nil {
		return nil, f.err
	}
	return nil, errClosed
}

// txn is a transaction of bbolt that checks the pages which it uses.
type txn struct {
	*bbolt.Tx
	pages    tree
	replaced []int64 // pages that its changes may replace

	name   []byte        // of the bucket that was used last
	bucket *bbolt.Bucket // nil: none was
}

// use returns a bucket, or nil. A read transaction of bbolt would decode it
// each time.
func (tx *txn) use(name []byte) *bbolt.Bucket {
	if tx.bucket == nil || !bytes.Equal(tx.name, name) {
		tx.name, tx.bucket = name, tx.Bucket(name)
	}
	return tx.bucket
}

// at checks the pages that a use of a key touches. leaf is the one that has the
// key, next the first key of the one after it. The bucket may be nil.
func (tx *txn) at(name, key []byte, wide bool) (b *bbolt.Bucket, leaf page, next []byte, err error) {
	b = tx.use(name)
	if b != nil && b.Root() != 0 { // otherwise it is in the page of its parent
		leaf, next, err = tx.pages.find(int64(b.Root()), key, wide)
	}
	return b, leaf, next, err
}

// get returns nil if there is no such entry. The value belongs to the
// transaction.
func (tx *txn) get(name, key []byte) ([]byte, error) {
	b, leaf, _, err := tx.at(name, key, false)
	if err != nil || b == nil {
		return nil, err
	}
	value := leaf.get(key)
	if value == nil {
		return tx.getWide(name, key)
	}
	if tx.Writable() { // it may be a value of this transaction
		value = b.Get(key)
	}
	return value, nil
}

// getWide is get for a key that was not found where it belongs.
func (tx *txn) getWide(name, key []byte) ([]byte, error) {
	b, leaf, _, err := tx.at(name, key, true)
	if err != nil || b == nil {
		return nil, err
	}
	if b.Root() == 0 || tx.Writable() {
		return b.Get(key), nil
	}
	return leaf.get(key), nil
}

func (tx *txn) put(name, key, value []byte) error {
	b, _, _, err := tx.at(name, key, true)
	if err != nil {
		return err
	}
	return b.Put(key, value)
}

func (tx *txn) delete(name, key []byte) error {
	b, _, _, err := tx.at(name, key, true)
	if err != nil {
		return err
	}
	return b.Delete(key)
}

// scan yields the entries from a key on (nil: from the start), in order, as they were before this
// transaction. bbolt's cursor would go on to pages that are not checked.
func (tx *txn) scan(name, from []byte, yield func(key, value []byte) bool) error {
	for {
		b, leaf, next, err := tx.at(name, from, false)
		if err != nil || b == nil {
			return err
		}
		if b.Root() == 0 {
			c := b.Cursor()
			for k, v := c.Seek(from); k != nil && yield(k, v); k, v = c.Next() {
			}
			return nil
		}
		for i := leaf.search(from, 0); i < leaf.count; i++ {
			if e, _ := leaf.entry(i); !yield(e.key, e.value) {
				return nil
			}
		}
		if next == nil {
			return nil
		}
		from = next
	}
}

// commitFailed classifies the error of a commit; nil stays nil.
func (c *catalog) commitFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, logs.ErrDamaged):
		return c.fail(err, failure{damaged: true, poisoned: true})
	case isBareErrno(err), strings.HasPrefix(err.Error(), "file sync error"):
		// The bare errno can only come from fdatasync (bbolt writes through
		// os.File, which adds the path). After a failed sync the contents of
		// the disk are unknown, so this handle is not used anymore.
		err = fmt.Errorf("sync failed: %w", err)
		return c.fail(c.writeFailed(err), failure{})
	}
	// A failed write, mostly for lack of space. bbolt writes pages that nothing
	// refers to yet, and discards them: the next commit may succeed.
	return c.writeFailed(fmt.Errorf("write to %s: %w", c.path, err))
}

// isBareErrno reports whether err is an unwrapped errno.
func isBareErrno(err error) bool {
	_, ok := err.(syscall.Errno)
	return ok
}
