package stream

import (
	"errors"
	"os"
	"syscall"
)

func allocate(f *os.File, size int64) error {
	var err error = syscall.EINTR
	for err == syscall.EINTR {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, size)
	}
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return f.Truncate(size)
	}
	if err != nil {
		return &os.PathError{Op: "allocate", Path: f.Name(), Err: err}
	}
	return nil
}

// datasync syncs the data and the size, but not necessarily the times.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}

// openDirect opens a file for writes past the system's cache. It returns nil if
// the file system does not support them.
func openDirect(path string) *os.File {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	return f
}

// refusesDirect reports whether a write failed because the file system does not
// accept writes past the cache.
func refusesDirect(err error) bool { return errors.Is(err, syscall.EINVAL) }
