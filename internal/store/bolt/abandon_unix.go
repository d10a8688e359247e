//go:build unix && !aix && !solaris

package bolt

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// abandon releases the file so that it can be opened again, in cases where
// bbolt's Close might never return. bbolt's mapping of the file remains until
// this process ends; it would keep the lock if only the handle were closed. It
// is not an error if the file is already closed.
func (h *handle) abandon() error {
	_ = unix.Flock(int(h.file.Fd()), unix.LOCK_UN)
	if err := h.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
