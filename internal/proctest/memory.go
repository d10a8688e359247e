package proctest

import (
	"os"
	"testing"
)

// enoughMemory is what must be free where MemoryDir makes a folder: tests of several
// packages use it at the same time.
const enoughMemory = 1 << 30

// MemoryDir returns a folder for the length of a test, in memory if the system has
// enough for files: for tests that sync often, and are not about the disk.
func MemoryDir(t testing.TB) string {
	t.Helper()
	const memory = "/dev/shm"
	if freeSpace(memory) < enoughMemory {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "log-service-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
