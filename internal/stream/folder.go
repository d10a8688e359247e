package stream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// folder is where segments live. The one of the running server is a
// directory; tests have one that loses what was not synced.
type folder interface {
	// create makes a file of size bytes of zeros; it is durable after sync.
	create(name string, size int64) (file, error)
	open(name string) (file, int64, error)
	remove(name string) error
	rename(from, to string) error
	list() ([]string, error)
	// sync makes the creations and removals so far durable.
	sync() error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written durable. After an error nothing of what
	// was written since the last Sync may be trusted.
	Sync() error
	Truncate(size int64) error
}

// directory is the real folder.
type directory string

func openDirectory(path string) (directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("streams folder: %w", err)
	}
	return directory(path), nil
}

func (d directory) create(name string, size int64) (file, error) {
	path := filepath.Join(string(d), name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	// Room taken ahead makes a sync cheaper (the file's size does not change)
	// and a full disk show here, before anything is promised.
	if err := allocate(f, size); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return segmentFile{f}, nil
}

func (d directory) open(name string) (file, int64, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return segmentFile{f}, st.Size(), nil
}

func (d directory) remove(name string) error { return os.Remove(filepath.Join(string(d), name)) }

func (d directory) rename(from, to string) error {
	return os.Rename(filepath.Join(string(d), from), filepath.Join(string(d), to))
}

func (d directory) list() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("streams folder: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (d directory) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type segmentFile struct{ *os.File }

func (f segmentFile) Sync() error { return datasync(f.File) }
