package bolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// beginFlush makes the kernel begin to write what is dirty of f. It waits for
// nothing and promises nothing: a failure shows when the file is synced.
func beginFlush(f file) {
	if f, ok := f.(*os.File); ok {
		_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	}
}
