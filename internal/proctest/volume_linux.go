package proctest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// SmallVolume mounts a file system of its own, of a size such as "40m", for the
// length of a test, and returns its folder. Where that is not permitted, the test
// is missing: see Missing.
func SmallVolume(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		Missing(t, "the permission to mount a file system (root): "+err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
