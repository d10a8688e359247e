//go:build !unix || aix || solaris

package bolt

import (
	"errors"
	"os"
)

// abandon frees the file that bbolt holds for the next that opens it.
func abandon(f *os.File) error {
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
