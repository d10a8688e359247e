// Package bolt keeps blobs in a folder: a catalogue, with go.etcd.io/bbolt
// below, that also holds the bytes of small blobs, and a file for each larger
// one.
//
//	blobs.db   blobs   account NUL key -> record: sizes, flags, and the bytes
//	                                      of a small blob or the name of a file
//	           files   generation      -> nothing; a file that a record names
//	           about   "schema"        -> version of this layout
//	blobs/     <generation>.blob         a larger blob; see blobfile.go
//	           reserve                   given up for deletions on a full disk
//
// A file is written, synced, its folder synced, and then the catalogue begins
// to refer to it; it is removed after the catalogue has durably ceased to. At
// any moment the catalogue therefore refers to whole files only, and a file
// that it does not know is a rest, which the next start removes.
//
//	Put ──► file ──┐
//	Put, Delete ───┴─► writer: one transaction for all that wait ──► catalogue
//	Get, Range, List ──► short read transactions, nothing held between ──┘
//
// A catalogue whose pages are damaged is made anew from what can be read of
// it and from what the files say of themselves; see recover.go.
//
// Limits: one folder, one process; an account's listing that runs beside
// writes sees each of them or not. A catalogue of which many gigabytes were
// deleted at once makes every commit write a longer list of free pages (8
// bytes for each 4 KiB freed) until that space is used again.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// chunkSize is how many bytes of a blob are compressed and checked
	// together. Large enough that zstd has something to work with, small
	// enough that a reader's buffer and a damaged chunk cost little.
	chunkSize = 256 << 10
	// inlineSize bounds the stored bytes that are kept in the record itself:
	// a small archive then costs no file and no sync of its own.
	inlineSize = 8 << 10
	// maxUploads bounds the uploads past inlineSize that hold buffers and
	// descriptors at one time. Further ones wait.
	maxUploads = 128
	// maxUploadWait is how long an upload waits for its turn before it is
	// told to come back. Below the 10 s in which clients expect an answer.
	maxUploadWait = 8 * time.Second
	// closeWait bounds how long Close waits for a disk that hangs.
	closeWait = 4 * time.Second
)

// errClosed answers calls after Close.
var errClosed = &logservice.UnavailableError{Cause: errors.New("the store is closed")}

// Options of a Store. The zero value is good.
type Options struct {
	Logger *slog.Logger // nil: slog.Default
	// Now says when a blob is stored; nil is time.Now.
	Now func() time.Time

	disk  disk          // nil: that of the system
	pause time.Duration // of the upkeep and between attempts to recover; zero: upkeepPause
}

// Store is a logs.Store in one folder. Make one with Open.
type Store struct {
	path    string // of the catalogue
	folder  string // of the blob files
	known   bool   // the folder was there at Open: what is at path is a catalogue
	log     *slog.Logger
	disk    disk
	pause   time.Duration
	now     func() time.Time // when a blob is stored
	zip     *codec
	buffers buffers

	db         atomic.Pointer[handle] // nil: failed says why
	failed     atomic.Pointer[failure]
	generation atomic.Uint64 // the last one given out
	first      uint64        // generations above it are of this process
	uploads    chan struct{} // a place for each of maxUploads
	reading    atomic.Int64  // read transactions that are open or about to be
	watch      watch
	trouble    atomic.Pointer[error] // the last write failed, and none has succeeded since
	reserved   atomic.Bool           // the reserve is there
	alarmed    atomic.Int64          // when damage was logged last, Unix seconds

	ops        chan *op      // to the writer
	stop       chan struct{} // closed by Close
	gone       chan struct{} // closed when Close waits no more
	closing    sync.Once
	closeErr   error
	writerDone chan struct{}
	upkeepDone chan struct{}
	sweep      chan struct{} // holds one: there are chunks to delete
	given      int           // free pages after the last giveBack; the upkeep's
}

var (
	_ logs.Store   = (*Store)(nil)
	_ logs.Expirer = (*Store)(nil)
	_ logs.Checker = (*Store)(nil)
)

// Open opens the catalogue at path, or makes it (mode 0600, its folder 0700),
// with the blob files in the folder of that name without its extension. One
// that another process holds, or that this program did not write, is refused
// with an error that says what to do. One that is damaged is not: it is made
// anew in the background, calls fail with ErrUnavailable until then, and
// Check says so. What a crash left is removed in the background. Close the
// store.
func Open(path string, o Options) (*Store, error) {
	s := &Store{
		path:       path,
		folder:     strings.TrimSuffix(path, filepath.Ext(path)),
		log:        o.Logger,
		disk:       o.disk,
		pause:      o.pause,
		now:        o.Now,
		uploads:    make(chan struct{}, maxUploads),
		ops:        make(chan *op, maxBatchOps),
		stop:       make(chan struct{}),
		gone:       make(chan struct{}),
		writerDone: make(chan struct{}),
		upkeepDone: make(chan struct{}),
		sweep:      make(chan struct{}, 1),
	}
	if s.folder == path {
		s.folder += ".files"
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.pause == 0 {
		s.pause = upkeepPause
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.disk == nil {
		s.disk = system{}
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	go s.write()
	go s.upkeep()
	return s, nil
}

// Close waits for the transaction under way and for the background work, some
// seconds at most, and closes the files. Later calls fail with
// ErrUnavailable. Uploads that it interrupts leave the old blob whole.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		done := make(chan error, 1)
		go func() {
			<-s.writerDone
			<-s.upkeepDone
			s.failed.CompareAndSwap(nil, &failure{err: errClosed})
			done <- s.release(s.failed.Load().poisoned)
		}()
		timer := time.NewTimer(closeWait)
		defer timer.Stop()
		select {
		case s.closeErr = <-done:
		case <-timer.C:
			s.failed.CompareAndSwap(nil, &failure{err: errClosed})
			close(s.gone)
			s.closeErr = fmt.Errorf("%s: the disk does not answer: the file is left as after a crash", s.path)
		}
	})
	return s.closeErr
}

func (s *Store) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// Delete removes a blob; see logs.Store.
func (s *Store) Delete(ctx context.Context, id logservice.ID) error {
	key, err := blobKey(id)
	if err != nil {
		return err
	}
	var found bool
	err = s.view(func(tx *bbolt.Tx) error {
		found = tx.Bucket(bucketBlobs).Get(key) != nil
		return nil
	})
	if err != nil || !found {
		return s.about(id, "delete", err)
	}
	var old record
	err = s.submit(ctx, &op{frees: true, apply: func(tx *bbolt.Tx) error {
		var err error
		if old, err = s.unlink(tx, key); err != nil {
			return err
		}
		return tx.Bucket(bucketBlobs).Delete(key)
	}})
	if err == nil {
		s.remove(old)
	}
	return s.about(id, "delete", err)
}

// unlink prepares the removal of the record at key and returns it, the zero
// record where there is none.
func (s *Store) unlink(tx *bbolt.Tx, key []byte) (record, error) {
	value := tx.Bucket(bucketBlobs).Get(key)
	if value == nil {
		return record{}, nil
	}
	rec, err := decodeRecord(key, value)
	rec.inline = nil // belongs to the transaction
	switch {
	case err != nil:
		// What it named is unknown; it stays, rather than that of another
		// blob goes.
		s.log.Warn("a damaged blob record is removed; the bytes of its blob stay", "file", s.path, "blob", printableKey(key))
		return record{}, nil
	case rec.file:
		return rec, tx.Bucket(bucketFiles).Delete(generationKey(rec.generation))
	case rec.generation != 0:
		if b := tx.Bucket(bucketGarbage); b != nil {
			return rec, b.Put(generationKey(rec.generation), nil)
		}
	}
	return rec, nil
}

// remove removes what the records of deleted blobs named, and makes that
// durable: a catalogue that is made anew must not find it.
func (s *Store) remove(gone ...record) {
	files := false
	for _, rec := range gone {
		switch {
		case rec.file:
			files = true
			s.removeBlob(rec.generation)
		case rec.generation != 0:
			s.wakeSweep()
		}
	}
	if !files {
		return
	}
	if err := s.syncFolder(); err != nil {
		s.log.Warn("removing the files of deleted blobs may not be durable yet", "folder", s.folder, "error", err)
	}
}

func (s *Store) syncFolder() error {
	return s.watch.do(func() error { return s.disk.SyncDir(s.folder) })
}

// about adds to err what was being done to which blob.
func (s *Store) about(id logservice.ID, verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s blob %q of account %q: %w", verb, id.Key, id.Account, err)
}
