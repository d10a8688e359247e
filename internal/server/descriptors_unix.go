//go:build unix

package server

import (
	"math"

	"golang.org/x/sys/unix"
)

// descriptors returns the process's limit of open files and connections. The Go
// runtime raises the soft limit to the hard one at startup.
func descriptors() int64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int64(l.Cur)
}
