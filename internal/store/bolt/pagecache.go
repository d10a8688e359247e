package bolt

import (
	"sync"
	"unsafe"

	"go.etcd.io/bbolt"
)

// pageCache is the set of pages that were checked since the catalog was opened.
// A commit removes those that it replaces: it writes their successors to other
// pages, and they may be used for something else later. A nil one has none.
type pageCache struct {
	mu    sync.RWMutex
	pages pageSet // guarded by mu
}

func (c *pageCache) has(id int64) bool {
	if c == nil {
		return false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return id/64 < int64(len(c.pages)) && c.pages.has(id)
}

func (c *pageCache) add(id int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if more := id/64 + 1 - int64(len(c.pages)); more > 0 {
		c.pages = append(c.pages, make(pageSet, more)...)
	}
	c.pages.add(id)
}

func (c *pageCache) remove(ids []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if id/64 < int64(len(c.pages)) {
			c.pages[id/64] &^= 1 << (id % 64)
		}
	}
}

// mapping returns bbolt's view of the file, which is valid during a transaction.
func mapping(tx *bbolt.Tx) []byte {
	info := tx.DB().Info()
	data := *(*unsafe.Pointer)(unsafe.Pointer(&info.Data)) //nolint:gosec // bbolt gives the address as a number
	return unsafe.Slice((*byte)(data), tx.Size())
}
