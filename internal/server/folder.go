package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Files of a data folder, beside the engine's and the store's own.
const (
	lockFile    = "LOCK"     // held by the server that uses the folder, holds its process id
	linkKeyFile = "link.key" // signs the links of the embedded store
	streamsDir  = "streams"  // write-ahead log
)

// linkKeyBytes is the size of an HMAC-SHA256 key past which more adds nothing.
const linkKeyBytes = 32

// InUseError refuses a data folder that a running server holds.
type InUseError struct {
	Folder string
	PID    int // zero where unknown
}

func (e *InUseError) Error() string {
	who := "another server"
	if e.PID > 0 {
		who = fmt.Sprintf("another server (process %d)", e.PID)
	}
	return fmt.Sprintf("data folder %s is in use by %s", e.Folder, who)
}

// FolderError says that a data folder cannot be made or used.
type FolderError struct {
	Folder string
	Err    error
}

func (e *FolderError) Error() string { return fmt.Sprintf("data folder %s: %v", e.Folder, e.Err) }
func (e *FolderError) Unwrap() error { return e.Err }

// A folder is a data folder that this process holds.
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the folder when it is missing and takes its lock. The lock
// is the kernel's, on the open file: it ends with the process, however that
// ends, so no stale lock ever needs a hand.
func openFolder(path string) (*folder, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &FolderError{path, err}
	}
	// Logs hold secrets that builds print by mistake: nobody else reads them.
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, &FolderError{abs, err}
	}
	f, err := os.OpenFile(filepath.Join(abs, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &FolderError{abs, err}
	}
	d := &folder{path: abs, lock: f}
	if err := d.take(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

func (d *folder) take() error {
	held, err := lock(d.lock)
	if err != nil {
		return &FolderError{d.path, fmt.Errorf("lock: %w", err)}
	}
	if held {
		return &InUseError{Folder: d.path, PID: d.holder()}
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := errors.Join(d.lock.Truncate(0), writeAt(d.lock, pid)); err != nil {
		return &FolderError{d.path, err}
	}
	return nil
}

// holder reads the process id that the holder of the lock left in it.
func (d *folder) holder() int {
	text, err := io.ReadAll(io.LimitReader(d.lock, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return 0
	}
	return pid
}

func writeAt(f *os.File, p []byte) error {
	_, err := f.WriteAt(p, 0)
	return err
}

// Close lets the folder go. The lock file stays: removing it would let two
// servers each lock a file of that name. The lock is given up by itself: a
// process that is being started has a copy of the file for a moment, which
// would keep it.
func (d *folder) Close() error { return errors.Join(unlock(d.lock), d.lock.Close()) }

// linkKey returns the key that signs links, making one at the first start. A
// new key ends the links that were given out under the old one.
func (d *folder) linkKey() ([]byte, error) {
	path := filepath.Join(d.path, linkKeyFile)
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == linkKeyBytes:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("%s: %d bytes, want %d: remove the file and a new key is made, which ends the links given out so far", path, len(key), linkKeyBytes)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	key = make([]byte, linkKeyBytes)
	_, _ = rand.Read(key) // never fails, by its documentation
	return key, writeWhole(path, key)
}

// writeWhole makes a file that is there whole or not at all, also after a
// crash.
func writeWhole(path string, content []byte) error {
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
