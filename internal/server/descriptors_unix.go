//go:build unix

package server

import (
	"math"

	"golang.org/x/sys/unix"
)

// descriptors is how many files and connections the process may have open. Go
// has raised the soft limit to the hard one when the program began.
func descriptors() int64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int64(l.Cur)
}
