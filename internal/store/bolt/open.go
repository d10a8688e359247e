package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	// pageSize is fixed, so that a file moves between machines and a small
	// blob does not cost more on those with large pages.
	pageSize = 4096
	// lockWait is how long Open waits for another process to let go.
	lockWait = time.Second
	// mapSize is the address space set aside for the file on 64-bit systems,
	// no memory. While the file is smaller, growing it does not wait for
	// readers.
	mapSize = 16 << 30
)

// open sets db up; Store.Open starts the goroutines.
func (s *Store) open() (err error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	switch h, err := readHeader(s.path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(s.path); err != nil {
			return fmt.Errorf("create %s: %w", s.path, err)
		}
	case err != nil:
		return err
	case h.stale:
		s.log.Warn("one of the two headers of the blob file is damaged: the other is used; the last change before the last stop may be missing", "file", s.path)
	}
	if s.zip, err = newCodec(); err != nil {
		return err
	}
	if err := s.attach(); err != nil {
		if s.file != nil {
			_ = abandon(s.file) // see Close on why not s.db.Close
		}
		return err
	}
	return nil
}

// attach opens the file with bbolt and reads what this program knows of it.
func (s *Store) attach() error {
	err := guard(func() (err error) {
		s.db, err = bbolt.Open(s.path, 0o600, s.options())
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s is in use by another process: stop that one, or give this one a data folder of its own", s.path)
	case err != nil:
		return s.unreadable(err)
	}
	s.db.MaxBatchSize = 0 // writer.go does that
	if err := s.view(s.checkSchema); err != nil {
		return err
	}
	if err := s.view(s.loadGarbage); err != nil {
		return s.unreadable(err)
	}
	return nil
}

func (s *Store) unreadable(err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%s cannot be read: %w; restore it from a backup, or move it away to begin with an empty store", s.path, err)
}

func (s *Store) options() *bbolt.Options {
	o := &bbolt.Options{
		Timeout:      lockWait,
		PageSize:     pageSize,
		FreelistType: bbolt.FreelistMapType, // finds runs of pages fast in a fragmented file
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			s.file, err = os.OpenFile(name, flag, mode)
			return s.file, err
		},
		// The list of free pages is written with each commit (the default):
		// without it every start reads the whole file.
	}
	if strconv.IntSize == 64 {
		o.InitialMmapSize = int(int64(mapSize))
	}
	return o
}

// create makes an empty store under another name and moves it into place, so
// that a crash leaves no half-made file behind.
func create(path string) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(temp, 0o600, &bbolt.Options{Timeout: lockWait, PageSize: pageSize, NoStatistics: true})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketBlobs, bucketChunks, bucketGarbage, bucketAbout} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketAbout).Put(keySchema, binary.BigEndian.AppendUint32(nil, schema))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new entry of a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Store) checkSchema(tx *bbolt.Tx) error {
	about := tx.Bucket(bucketAbout)
	if about == nil || len(about.Get(keySchema)) != 4 {
		return fmt.Errorf("%s is a bolt file of another program: name another path for the blobs", s.path)
	}
	if v := binary.BigEndian.Uint32(about.Get(keySchema)); v != schema {
		return fmt.Errorf("%s has layout %d, this program knows %d: run the version that wrote it, or a newer one", s.path, v, schema)
	}
	for _, name := range [][]byte{bucketBlobs, bucketChunks, bucketGarbage} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%s cannot be read: %w: it has no bucket %q; restore it from a backup", s.path, ErrDamaged, name)
		}
	}
	return nil
}

// loadGarbage finds what the last process left behind, and the last
// generation: every one in use has chunks or is garbage.
func (s *Store) loadGarbage(tx *bbolt.Tx) error {
	var last uint64
	c := tx.Bucket(bucketGarbage).Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		if len(key) != 8 {
			return fmt.Errorf("%w: garbage entry of %d bytes", ErrDamaged, len(key))
		}
		last = binary.BigEndian.Uint64(key)
		s.garbage.doom(last)
	}
	if key, _ := tx.Bucket(bucketChunks).Cursor().Last(); key != nil {
		if len(key) != 12 {
			return fmt.Errorf("%w: chunk key of %d bytes", ErrDamaged, len(key))
		}
		last = max(last, binary.BigEndian.Uint64(key))
	}
	if last > 1<<62 {
		return fmt.Errorf("%w: generation %d", ErrDamaged, last)
	}
	s.generation.Store(last)
	return nil
}
