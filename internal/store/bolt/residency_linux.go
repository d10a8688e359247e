package bolt

import (
	"os"
	"unsafe"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// mapped returns the whole pages of bbolt's map of the file that b touches,
// nil if b is not in it: bbolt copies the pages of very small buckets to the
// heap, where MADV_DONTNEED would wipe what other goroutines keep. The map
// stays as it is for as long as tx is open.
func mapped(tx *bbolt.Tx, b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	base := tx.DB().Info().Data
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	if start < base || start+uintptr(len(b)) > base+uintptr(tx.Size()) {
		return nil
	}
	page := uintptr(os.Getpagesize())
	before := start % page
	size := (before + uintptr(len(b)) + page - 1) &^ (page - 1)
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), -int(before))), size)
}

// prefetch asks for the pages of b, a value that tx returned, in one request:
// bbolt turns the kernel's own read-ahead off, and a cold chunk would be read
// page by page. It is a hint; its error does not matter.
func prefetch(tx *bbolt.Tx, b []byte) {
	if pages := mapped(tx, b); len(pages) > 1 {
		_ = unix.Madvise(pages, unix.MADV_WILLNEED)
	}
}

// unmap lets the pages of the file go from this process; the file's cache
// keeps them, and who needs one maps it again. One that fails leaves a larger
// count, nothing else.
func unmap(tx *bbolt.Tx) {
	base := tx.DB().Info().Data
	size := uintptr(tx.Size()) &^ uintptr(os.Getpagesize()-1)
	//lint:ignore SA1019 the raw call: a slice over the map would have to be made from a number
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, base, size, unix.MADV_DONTNEED)
}
