package bolt

import (
	"math"

	"golang.org/x/sys/unix"
)

// diskRoom is how many bytes the disk below path has left for this process.
// Unknown counts as enough: a write says if it was not.
func diskRoom(path string) int64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil || fs.Bsize <= 0 {
		return math.MaxInt64
	}
	return int64(min(fs.Bavail, math.MaxInt64/uint64(fs.Bsize)) * uint64(fs.Bsize))
}
