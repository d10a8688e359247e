//go:build !unix || aix || solaris

package bolt

import (
	"errors"
	"os"
)

// abandon frees the file for the next that opens it, where bbolt's Close might
// never return.
func (h *handle) abandon() error {
	if err := h.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
