//go:build !unix || aix || solaris

package bolt

import (
	"errors"
	"os"
)

// abandon releases the file so that it can be opened again, in cases where
// bbolt's Close might never return.
func (h *handle) abandon() error {
	if err := h.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
