//go:build unix && !aix && !solaris

package bolt

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// abandon frees the file for the next that opens it, where bbolt's Close might
// never return. bbolt's map of it remains until this process ends; it would
// keep the lock, were only the handle closed. A file closed already is no
// error.
func (h *handle) abandon() error {
	_ = unix.Flock(int(h.file.Fd()), unix.LOCK_UN)
	if err := h.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
