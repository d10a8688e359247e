package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/harness/log-service/internal/logs"
)

// maxAttempts limits the doublings of the pause between two attempts:
// rebuilding a large catalog on a disk that stays full is useless work.
const maxAttempts = 6

// recover restores the catalog after a failure: it repeats the start, reopens
// the catalog or, if it is damaged, rebuilds it. The writer calls it, and calls it again after a pause
// if it fails.
func (c *catalog) recover() {
	f := c.failed.Load()
	if time.Now().Before(f.next) {
		return
	}
	again := failure{readable: f.readable, attempts: min(f.attempts+1, maxAttempts)}
	err := c.watch.do(func() error {
		return guard(func() error { // the disk may also fail to read what is new
			if !f.readable {
				if err := c.release(f.poisoned); err != nil {
					return err
				}
			}
			switch {
			case f.damaged:
				return c.rebuild()
			case f.starting:
				return c.start()
			}
			return c.reopen()
		})
	})
	if err == nil {
		c.failed.Store(nil)
		c.log.Info("the catalog of the blob store is in use again", "file", c.path)
		return
	}
	again.damaged = f.damaged || errors.Is(err, logs.ErrDamaged)
	again.starting = f.starting && !again.damaged
	if f.attempts == 0 || again.damaged != f.damaged {
		c.log.Error("the catalog of the blob store stays out of use for now", "file", c.path, "error", err)
	}
	again.err = outOfUse(c.path, err)
	again.next = time.Now().Add(c.pause << again.attempts)
	c.failed.Store(&again)
}

// release closes the failed catalog.
func (c *catalog) release(poisoned bool) error {
	h := c.db.Swap(nil)
	switch {
	case h == nil:
		return nil
	case poisoned:
		return h.abandon()
	}
	return h.db.Close()
}

// reopen opens the catalog again after a failed sync, which is safe under one
// condition. bbolt syncs what its headers (pages 0 and 1) refer to before it
// writes them, and writes only to pages that no header refers to. So the failed
// sync can have lost only a header: both are written again and synced through a
// new handle. The file is used only if that succeeds.
func (c *catalog) reopen() error {
	f, err := os.OpenFile(c.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	headers := make([]byte, 2*pageSize)
	if _, err = f.ReadAt(headers, 0); err == nil {
		_, err = f.WriteAt(headers, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return c.attach()
}

// rebuild makes a new catalog of what can be read of the damaged one and of the
// identities in the blob files. The damaged one is kept under another name.
func (c *catalog) rebuild() error {
	temp := c.path + ".new"
	var kept, found int
	err := create(temp, func(fresh *bbolt.DB) error {
		fresh.NoSync = true // it counts only once it is complete
		lost, named, err := c.salvageAll(fresh)
		if err == nil && lost != nil {
			found, err = c.adopt(fresh, lost, named)
		}
		kept = len(named)
		return errors.Join(err, fresh.Sync())
	})
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	aside, err := setAside(c.path)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Rename(temp, c.path), c.disk.SyncDir(filepath.Dir(c.path))); err != nil {
		return err
	}
	c.log.Error("the catalog of the blob store was damaged and has been rebuilt: small blobs on its damaged pages are lost",
		"file", c.path, "damaged", aside, "blob files kept", kept, "blob files found again", found,
		"hint", "check the disk; keep the damaged file, or restore the data folder from a backup")
	old := c.db.Load()
	if err := c.attach(); err != nil || old == nil {
		return err
	}
	return old.db.Close()
}

// setAside gives the damaged catalog another name, in addition to its own if
// the file system supports that: then there is a catalog at path at any time.
func setAside(path string) (aside string, err error) {
	aside = path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err = os.Link(path, aside); err == nil || errors.Is(err, fs.ErrNotExist) {
		return aside, nil
	}
	if _, taken := os.Lstat(aside); taken == nil {
		return "", err
	}
	return aside, os.Rename(path, aside)
}

// salvageAll copies what can be read of the damaged catalog. lost is the range
// of unreadable blobs, nil if there are none; named are the files of the
// readable ones.
func (c *catalog) salvageAll(fresh *bbolt.DB) (lost *span, named map[uint64]bool, err error) {
	stale := checkHeaders(c.path)
	h := c.db.Load()
	if h == nil {
		h, err = openBolt(c.path, true)
		if errors.Is(err, logs.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
			return &span{}, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		defer func() { _ = h.db.Close() }() // read-only
	}
	there := make(map[uint64]bool)
	if err := c.eachFile(func(generation uint64) error { there[generation] = true; return nil }); err != nil {
		return nil, nil, err
	}
	for _, name := range [][]byte{bucketFiles, bucketGarbage, bucketChunks, bucketBlobs} {
		to := &copier{db: fresh, bucket: name, there: there, named: make(map[uint64]bool)}
		lost, err = (&salvage{from: h, bucket: name, put: to.put}).run()
		if err = errors.Join(err, to.flush()); err != nil {
			return nil, nil, err
		}
		named = to.named // finally those of the blobs
	}
	if stale != nil {
		lost = &span{} // anything may be an older state
	}
	return lost, named, nil
}

// copier writes entries to a bucket, many per transaction.
type copier struct {
	db     *bbolt.DB
	bucket []byte
	there  map[uint64]bool // the existing blob files
	named  map[uint64]bool // those named by an entry
	keys   [][]byte
	values [][]byte
	size   int
}

// copySize limits the bytes that a copier holds.
const copySize = 4 << 20

func (c *copier) put(k, v []byte) error {
	if generation, ok := c.names(k, v); ok {
		if !c.there[generation] {
			return nil // deleted since, or its file is also lost
		}
		c.named[generation] = true
	}
	c.keys, c.values = append(c.keys, bytes.Clone(k)), append(c.values, bytes.Clone(v))
	if c.size += len(k) + len(v); c.size < copySize {
		return nil
	}
	return c.flush()
}

// names returns the file that an entry names.
func (c *copier) names(k, v []byte) (generation uint64, ok bool) {
	switch {
	case bytes.Equal(c.bucket, bucketFiles) && len(k) == 8:
		return binary.BigEndian.Uint64(k), true
	case bytes.Equal(c.bucket, bucketBlobs):
		rec, err := decodeRecord(k, v)
		return rec.generation, err == nil && rec.file
	}
	return 0, false
}

func (c *copier) flush() error {
	keys, values := c.keys, c.values
	c.keys, c.values, c.size = nil, nil, 0
	if len(keys) == 0 {
		return nil
	}
	return c.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(c.bucket)
		if err != nil {
			return err
		}
		for i, k := range keys {
			if err := b.Put(k, values[i]); err != nil {
				return err
			}
			if generation, ok := c.names(k, values[i]); ok {
				if err := tx.Bucket(bucketFiles).Put(generationKey(generation), fileThere); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// adopt adds the blob files whose records are lost to the fresh catalog.
func (c *catalog) adopt(fresh *bbolt.DB, lost *span, named map[uint64]bool) (found int, err error) {
	err = c.eachFile(func(generation uint64) error {
		if named[generation] {
			return nil
		}
		t, err := c.trailerOf(generation)
		if errors.Is(err, logs.ErrDamaged) && generation <= c.first {
			// An incomplete upload, or a blob whose file is also damaged: they
			// cannot be distinguished. No start removes it under this name.
			c.log.Error("a blob file cannot be read; it is kept under another name", "file", c.blobFile(generation), "error", err)
			return c.disk.Rename(c.blobFile(generation), c.blobFile(generation)+unreadable)
		}
		if errors.Is(err, logs.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
			return nil // an upload in progress
		}
		if err != nil || !lost.has(t.key) {
			return err
		}
		return fresh.Update(func(tx *bbolt.Tx) error { return adoptOne(tx, t, &found) })
	})
	return found, err
}

// adoptOne adds a file, unless the catalog has a later record of the same blob.
func adoptOne(tx *bbolt.Tx, t *trailer, found *int) error {
	blobs, files := tx.Bucket(bucketBlobs), tx.Bucket(bucketFiles)
	if old, err := decodeRecord(t.key, blobs.Get(t.key)); err == nil {
		rec, err := decodeRecord(t.key, t.record)
		switch {
		case err != nil || old.file && old.generation > t.generation:
			return err
		case !old.file && !old.info.Modified.Before(rec.info.Modified):
			return nil
		case old.file:
			if err := files.Delete(generationKey(old.generation)); err != nil {
				return err
			}
		}
	}
	*found++
	return errors.Join(blobs.Put(t.key, t.record), files.Put(generationKey(t.generation), fileThere))
}

// unreadable is the suffix of files that are kept for people to examine.
const unreadable = ".unreadable"

// removeUnreferenced removes the blob files that no record names, left by a
// crash. It reports false if there is no catalog yet that says so.
func (c *catalog) removeUnreferenced() bool {
	if c.failed.Load() != nil {
		return false
	}
	err := c.eachFile(func(generation uint64) error {
		if generation > c.first {
			return nil
		}
		known, err := c.isNamed(generation)
		if err == nil && !known {
			c.removeBlob(generation)
		}
		return err
	})
	if err != nil {
		c.log.Warn("files that a crash left stay until the next start", "folder", c.folder, "error", err)
	}
	return true
}

// isNamed reports whether the catalog names a file. Its two buckets are asked:
// their keys have no checksums.
func (c *catalog) isNamed(generation uint64) (named bool, err error) {
	t, damage := c.trailerOf(generation)
	err = c.view(func(tx *txn) error {
		value, err := tx.get(bucketFiles, generationKey(generation))
		if named = value != nil; err != nil || named || damage != nil {
			return err
		}
		if value, err = tx.get(bucketBlobs, t.key); err != nil {
			return err
		}
		rec, err := decodeRecord(t.key, value)
		named = err == nil && rec.file && rec.generation == generation
		return nil
	})
	return named, err
}
