package bolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// beginFlush makes the kernel start writing the dirty pages of f. It does not
// wait, and guarantees nothing: errors appear when the file is synced.
func beginFlush(f file) {
	if f, ok := f.(*os.File); ok {
		_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	}
}
