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

// Files in a data directory, besides those of the engine and the store.
const (
	lockFile    = "LOCK"     // locked by the server that uses the directory; contains its process ID
	linkKeyFile = "link.key" // signs the links of the embedded store
	streamsDir  = "streams"  // write-ahead log
)

// linkKeyBytes is the HMAC-SHA256 key size beyond which security does not improve.
const linkKeyBytes = 32

// InUseError reports that a running server holds the data directory.
type InUseError struct {
	Folder string
	PID    int // zero if unknown
}

func (e *InUseError) Error() string {
	who := "another server"
	if e.PID > 0 {
		who = fmt.Sprintf("another server (process %d)", e.PID)
	}
	return fmt.Sprintf("data folder %s is in use by %s", e.Folder, who)
}

// FolderError reports that a data directory cannot be created or used.
type FolderError struct {
	Folder string
	Err    error
}

func (e *FolderError) Error() string { return fmt.Sprintf("data folder %s: %v", e.Folder, e.Err) }
func (e *FolderError) Unwrap() error { return e.Err }

// folder is a data directory that this process holds.
type folder struct {
	path string
	lock *os.File
}

// openFolder creates the directory if necessary and locks it. The lock is held by
// the kernel on the open file, so it ends with the process in every case and never
// has to be removed by hand.
func openFolder(path string) (*folder, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &FolderError{path, err}
	}
	// Logs contain secrets that builds print by mistake: keep them private.
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

// holder returns the process ID that the holder of the lock has written to it.
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

// Close releases the directory. It does not remove the lock file: two servers could
// then each lock a file of that name. It unlocks explicitly, because a child
// process that is being started briefly has a copy of the open file, which would
// keep the lock.
func (d *folder) Close() error { return errors.Join(unlock(d.lock), d.lock.Close()) }

// linkKey returns the key that signs links, creating it on first use. Links signed
// with another key become invalid.
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
	_, _ = rand.Read(key) // documented never to fail
	return key, writeWhole(path, key)
}

// writeWhole writes a file atomically, even if the system crashes.
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
