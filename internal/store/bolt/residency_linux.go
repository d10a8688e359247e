package bolt

import (
	"os"
	"unsafe"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// The pages of the file that a reader touches through bbolt's map count as
// resident memory of this process, so that one pass over a blob would raise
// it by the blob's size. The two functions below act on the pages of a value
// that tx returned. Failing, they change nothing but speed and the count;
// their errors do not matter.

// prefetch asks for the pages of b in one request: bbolt turns the kernel's
// own read-ahead off, and a cold chunk would be read page by page.
func prefetch(tx *bbolt.Tx, b []byte) { advise(tx, b, unix.MADV_WILLNEED) }

// forget lets the pages of b go from this process; the file's cache keeps
// them. Another reader of the same pages maps them again.
func forget(tx *bbolt.Tx, b []byte) { advise(tx, b, unix.MADV_DONTNEED) }

func advise(tx *bbolt.Tx, b []byte, advice int) {
	if len(b) < pageSize {
		return
	}
	// bbolt copies the pages of very small buckets to the heap, where
	// MADV_DONTNEED would wipe what other goroutines keep. So: only within
	// the map, which stays as it is for as long as tx is open.
	base := tx.DB().Info().Data
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	if start < base || start+uintptr(len(b)) > base+uintptr(tx.Size()) {
		return
	}
	// The map is a whole number of pages, so widening to their bounds stays
	// inside it.
	page := uintptr(os.Getpagesize())
	before := start % page
	size := (before + uintptr(len(b)) + page - 1) &^ (page - 1)
	first := (*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), -int(before)))
	_ = unix.Madvise(unsafe.Slice(first, size), advice)
}
