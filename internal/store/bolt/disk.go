package bolt

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// disk is what the store needs from the file system for its blob files. Tests
// use one that fails at a chosen step.
type disk interface {
	Create(name string) (file, error) // fails if name exists
	Open(name string) (file, error)   // to read
	Remove(name string) error
	Rename(from, to string) error
	Mkdir(name string) error   // no error if it exists
	SyncDir(name string) error // makes its entries durable
	Names(dir string, yield func(name string) error) error
}

// file is an open blob file.
type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Sync() error
	Stat() (fs.FileInfo, error)
}

// system is the file system of the operating system.
type system struct{}

func (system) Create(name string) (file, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the operator's folder
}

func (system) Open(name string) (file, error) { return os.Open(name) } //nolint:gosec // as above

func (system) Remove(name string) error { return os.Remove(name) }

func (system) Rename(from, to string) error { return os.Rename(from, to) }

func (system) Mkdir(name string) error { return os.MkdirAll(name, 0o700) }

func (system) SyncDir(name string) error {
	d, err := os.Open(name) //nolint:gosec // as above
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// namesAtOnce limits how many names of a large folder are in memory.
const namesAtOnce = 1024

func (system) Names(dir string, yield func(name string) error) error {
	d, err := os.Open(dir) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	for {
		names, err := d.Readdirnames(namesAtOnce)
		for _, name := range names {
			if err := yield(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
