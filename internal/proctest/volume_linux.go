package proctest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// SmallVolume mounts a file system of its own, of a size such as "40m", for the
// length of a test, and returns its folder. It skips the test where mounting is
// not permitted; with CI=true, as root, that fails.
func SmallVolume(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
	if err != nil && os.Getenv("CI") == "true" && os.Geteuid() == 0 {
		t.Fatalf("no file system can be mounted here: %v", err)
	}
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: a full disk, since no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
