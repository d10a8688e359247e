package proctest

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes files below dir may have, 0 if there is no dir.
func freeSpace(dir string) uint64 {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize)
}
