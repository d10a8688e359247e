// Package bolt keeps blobs in one file, with go.etcd.io/bbolt below.
//
//	blobs    account NUL key            -> record: sizes, flags, generation,
//	                                       and the bytes of a small blob
//	chunks   generation number (BE)     -> one chunk of a larger blob
//	garbage  generation                 -> its chunks belong to no blob
//	about    "schema"                   -> version of this layout
//
// A blob is written under a generation of its own and becomes visible, in
// place of an older one, in one transaction. A generation is listed in
// garbage from its first transaction until that moment, and again from the
// moment it is replaced or deleted until its last chunk is gone. What a crash
// leaves behind is therefore found without a scan.
//
//	Put, Delete, sweeper ──► writer: one transaction for all that wait ──► file
//	Get, Range, List     ──► short read transactions, nothing held between ──┘
//
// Limits: one file, one process; an account's listing that runs beside writes
// sees each of them or not. A file of which many gigabytes were deleted at
// once makes every commit write a longer list of free pages (8 bytes for each
// 4 KiB freed) until that room is used again.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// chunkSize is how many bytes of a blob one chunk carries. Large enough
	// that zstd has something to work with, small enough that a reader's
	// buffer and a damaged chunk cost little.
	chunkSize = 256 << 10
	// inlineSize bounds the stored bytes that are kept in the record itself:
	// a small archive then costs one key and no page of its own.
	inlineSize = 8 << 10
	// maxUploads bounds the uploads past inlineSize that hold buffers at one
	// time. Further ones wait.
	maxUploads = 128
	// maxUploadWait is how long an upload waits for its turn before it is
	// told to come back. Below the 10 s in which clients expect an answer.
	maxUploadWait = 8 * time.Second
)

// ErrDamaged marks what can not be read as it was written. The message names
// the file, the blob and, where there is one, the chunk.
var ErrDamaged = errors.New("damaged")

// errClosed answers calls after Close.
var errClosed = &logservice.UnavailableError{Cause: errors.New("the store is closed")}

// Options of a Store. The zero value is good.
type Options struct {
	Logger *slog.Logger // nil: slog.Default
}

// Store is a logs.Store in one file. Make one with Open.
type Store struct {
	path    string
	log     *slog.Logger
	db      *bbolt.DB
	file    *os.File // the handle that db holds, and its lock
	zip     *codec
	buffers buffers

	generation atomic.Uint64 // the last one given out
	uploads    chan struct{} // a place for each of maxUploads
	uploading  atomic.Int64  // how many of them are taken
	touched    atomic.Int64  // see residency.go

	broken   atomic.Pointer[error] // set once: no transaction can begin any more
	readOnly atomic.Pointer[error] // set once: no write is safe any more

	ops        chan *op      // to the writer
	stop       chan struct{} // closed by Close
	closing    sync.Once
	closeErr   error
	writerDone chan struct{}

	garbage   garbage // see sweep.go
	sweepDone chan struct{}
}

var _ logs.Store = (*Store)(nil)

// Open opens the data file at path, or makes it (mode 0600, its folder 0700).
// A file that another process holds, that is damaged, or that this program
// did not write is refused with an error that names the way out. What a crash
// left behind is removed in the background. Close the store.
func Open(path string, o Options) (*Store, error) {
	s := &Store{
		path:       path,
		log:        o.Logger,
		uploads:    make(chan struct{}, maxUploads),
		ops:        make(chan *op, maxBatchOps),
		stop:       make(chan struct{}),
		writerDone: make(chan struct{}),
		sweepDone:  make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	s.garbage.wake = make(chan struct{}, 1)
	go s.write()
	go s.sweep()
	return s, nil
}

// Close waits for the transaction under way and for the background work, and
// lets go of the file. Later calls fail with ErrUnavailable. Uploads that it
// interrupts leave the old blob whole.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		<-s.writerDone
		<-s.sweepDone
		if s.broken.Load() != nil || s.readOnly.Load() != nil {
			// A panic inside bbolt may have left its locks taken, so that
			// its Close would never return.
			s.broken.CompareAndSwap(nil, ptr(error(errClosed)))
			s.closeErr = abandon(s.file)
			return
		}
		s.closeErr = s.db.Close()
	})
	return s.closeErr
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
	var old uint64
	err = s.submit(ctx, 0, func(tx *bbolt.Tx) error {
		var err error
		if old, err = s.unlink(tx, key); err != nil {
			return err
		}
		return tx.Bucket(bucketBlobs).Delete(key)
	})
	if err != nil {
		return s.about(id, "delete", err)
	}
	s.garbage.add(old)
	return nil
}

// unlink prepares the removal of the record at key: it lists the generation
// of the blob there as garbage and returns it, zero where there is none.
func (s *Store) unlink(tx *bbolt.Tx, key []byte) (uint64, error) {
	value := tx.Bucket(bucketBlobs).Get(key)
	if value == nil {
		return 0, nil
	}
	rec, err := decodeRecord(key, value)
	if err != nil {
		// Its chunks cannot be named with certainty; they stay, rather than
		// those of another blob go.
		s.log.Warn("a damaged blob record goes; its chunks stay in the file", "file", s.path, "blob", printableKey(key))
		return 0, nil
	}
	if rec.generation == 0 {
		return 0, nil
	}
	return rec.generation, tx.Bucket(bucketGarbage).Put(generationKey(rec.generation), nil)
}

// about adds to err what was being done to which blob.
func (s *Store) about(id logservice.ID, verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s blob %q of account %q: %w", verb, id.Key, id.Account, err)
}

func ptr[T any](v T) *T { return &v }
