// Package bolt stores blobs in a folder: a catalog in go.etcd.io/bbolt, which
// also contains the bytes of small blobs, and one file per larger blob.
//
//	blobs.db   blobs   account NUL key -> record: sizes, flags, and the bytes
//	                                      of a small blob or the name of a file
//	           files   generation      -> nothing; a file named by a record
//	           about   "schema"        -> version of this layout
//	                   "inverse"       -> the same with each bit inverted
//	blobs/     <generation>.blob         a larger blob; see blobfile.go
//	           reserve                   given up for deletions on a full disk
//
// A file is written and synced, its folder is synced, and then the catalog
// refers to it; it is removed after the catalog has durably stopped referring
// to it. So the catalog refers only to complete files at any time, and a file
// that it does not refer to is left over; the next start removes it.
//
//	Put ──► file ──┐
//	Put, Delete ───┴─► writer: one transaction for all waiting calls ──► catalog
//	Get, Range, List ──► short read transactions, none held between ────┘
//
// A catalog with damaged pages is rebuilt from its readable parts and from the
// identities in the files; see recover.go.
//
// Limits: one process per folder; a listing of an account may or may not
// include concurrent writes. After many gigabytes of a catalog were deleted at
// once, every commit writes a longer list of free pages (8 bytes per 4 KiB
// freed) until that space is reused.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// chunkSize is how many bytes of a blob are compressed and checked
	// together: large enough for zstd to be effective, small enough that a
	// reader's buffer and a damaged chunk cost little.
	chunkSize = 256 << 10
	// inlineSize limits the stored bytes that are kept in the record itself: a
	// small archive then needs no file and no sync of its own.
	inlineSize = 8 << 10
	// maxUploads limits the uploads larger than inlineSize that hold buffers
	// and descriptors at the same time. Further ones wait.
	maxUploads = 128
	// maxUploadWait is how long an upload waits for a slot before it is
	// rejected. Less than the 10 s in which clients expect a response.
	maxUploadWait = 8 * time.Second
	// closeWait limits how long Close waits for a disk that hangs.
	closeWait = 4 * time.Second
)

// errClosed is the error of calls after Close.
var errClosed = &logservice.UnavailableError{Cause: errors.New("the store is closed")}

// Options of a Store. The zero value is valid.
type Options struct {
	Logger *slog.Logger // nil: slog.Default
	// Now returns the time at which a blob is stored; nil is time.Now.
	Now func() time.Time

	disk  disk          // nil: that of the system
	pause time.Duration // of maintenance and between attempts to recover; zero: maintenancePause
}

// Store is a logs.Store in one folder. Create one with Open. Its parts know only
// those below them:
//
//	Store      blobs: Put, Get, List, Delete, Expire; what waits for later
//	writer     changes of the catalog, one transaction for all that wait
//	catalog    the bbolt file: open, check, read, change, recover
//	blobFiles  the files of larger blobs
//	volume     the disk: whether it answers, has space, and reads what was written
type Store struct {
	*writer

	now     func() time.Time // when a blob is stored
	uploads chan struct{}    // slots for maxUploads

	closing         sync.Once
	closeErr        error
	maintenanceDone chan struct{}
	legacyGarbage   chan struct{} // holds one if there are chunks to delete
}

var (
	_ logs.Store   = (*Store)(nil)
	_ logs.Expirer = (*Store)(nil)
	_ logs.Checker = (*Store)(nil)
)

// Open opens the catalog at path, or creates it (mode 0600, its folder 0700),
// with the blob files in a folder of that name without its extension. A catalog
// that is in use by another process, or was written by another program, is
// rejected with an error that names the remedy. A damaged one is rebuilt in the
// background: until then calls fail with ErrUnavailable, and Check reports it.
// One that cannot be opened because of the disk or a limit of the system is tried
// again in the same way. Leftovers of a crash are removed in the background.
// Close must be called.
func Open(path string, o Options) (*Store, error) {
	v := &volume{disk: o.disk, log: o.Logger, stop: make(chan struct{}), folder: strings.TrimSuffix(path, filepath.Ext(path))}
	if v.folder == path {
		v.folder += ".files"
	}
	if v.log == nil {
		v.log = slog.Default()
	}
	if v.disk == nil {
		v.disk = system{}
	}
	zip, err := newCodec()
	if err != nil {
		return nil, err
	}
	c := &catalog{blobFiles: &blobFiles{volume: v, zip: zip}, path: path, pause: o.pause}
	if c.pause == 0 {
		c.pause = maintenancePause
	}
	s := &Store{
		writer:          newWriter(c),
		now:             o.Now,
		uploads:         make(chan struct{}, maxUploads),
		maintenanceDone: make(chan struct{}),
		legacyGarbage:   make(chan struct{}, 1),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	go s.write()
	go s.maintain()
	return s, nil
}

// Close waits for the current transaction and the background work, some seconds
// at most, and closes the files. Later calls fail with ErrUnavailable. Uploads
// that it interrupts leave the old blob unchanged.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		done := make(chan error, 1)
		go func() {
			<-s.writerDone
			<-s.maintenanceDone
			s.failed.CompareAndSwap(nil, &failure{err: errClosed})
			done <- s.release(s.failed.Load().poisoned)
		}()
		timer := time.NewTimer(closeWait)
		defer timer.Stop()
		select {
		case s.closeErr = <-done:
		case <-timer.C:
			s.failed.CompareAndSwap(nil, &failure{err: errClosed})
			close(s.abandoned)
			s.closeErr = fmt.Errorf("%s: the disk does not answer: the file is left as after a crash", s.path)
		}
	})
	return s.closeErr
}

// Delete removes all attempts of a log; see logs.Store.
func (s *Store) Delete(ctx context.Context, id logservice.ID) error {
	first, err := blobKey(id, 1)
	if err != nil {
		return err
	}
	keys, err := s.attemptKeys(first)
	if err != nil || len(keys) == 0 {
		return s.about(id, "delete", err)
	}
	var gone []record
	err = s.submit(ctx, &op{frees: true, apply: func(tx *txn) error {
		gone = gone[:0]
		for _, key := range keys {
			old, err := s.unlink(tx, key)
			if err == nil {
				err = tx.delete(bucketBlobs, key)
			}
			if err != nil {
				return err
			}
			gone = append(gone, old)
		}
		return nil
	}})
	if err == nil {
		s.remove(gone...)
	}
	return s.about(id, "delete", err)
}

// unlink prepares the removal of the record at key and returns it, or the zero
// record if there is none.
func (s *Store) unlink(tx *txn, key []byte) (record, error) {
	value, err := tx.get(bucketBlobs, key)
	if err != nil || value == nil {
		return record{}, err
	}
	rec, err := decodeRecord(key, value)
	rec.inline = nil // belongs to the transaction
	switch {
	case err != nil:
		// What it named is unknown. That is kept, rather than risking the
		// removal of another blob's file.
		s.log.Warn("a damaged blob record is removed; the bytes of its blob stay", "file", s.path, "blob", printableKey(key))
		return record{}, nil
	case rec.file:
		return rec, tx.delete(bucketFiles, generationKey(rec.generation))
	case rec.generation != 0 && tx.Bucket(bucketGarbage) != nil:
		return rec, tx.put(bucketGarbage, generationKey(rec.generation), nil)
	}
	return rec, nil
}

// remove durably removes what the records of deleted blobs named: a rebuilt
// catalog must not find it.
func (s *Store) remove(gone ...record) {
	files := false
	for _, rec := range gone {
		switch {
		case rec.file:
			files = true
			s.removeBlob(rec.generation)
		case rec.generation != 0:
			s.wakeRemoveLegacy()
		}
	}
	if !files {
		return
	}
	if err := s.syncFolder(); err != nil {
		s.log.Warn("removing the files of deleted blobs may not be durable yet", "folder", s.folder, "error", err)
	}
}

// about adds the operation and the blob to err.
func (s *Store) about(id logservice.ID, verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s blob %q of account %q: %w", verb, id.Key, id.Account, err)
}
