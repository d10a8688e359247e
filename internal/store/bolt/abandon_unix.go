//go:build unix && !aix && !solaris

package bolt

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// abandon frees the file that bbolt holds for the next that opens it. bbolt's
// map of it remains until this process ends; it would keep the lock, were
// only the handle closed. A file closed already is no error.
func abandon(f *os.File) error {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
