package admission

import (
	"math/bits"
	"sync"
)

const (
	// smallestBuffer and largestBuffer limit the buffers that are reused: smaller
	// ones save nothing; larger ones are rare and would tie up much memory.
	smallestBuffer = 1 << 12
	largestBuffer  = 1 << 20
)

// Buffers reuses the buffers of bodies, grouped by size in powers of two. A new
// buffer costs its zeroing and a share of a garbage collection. The zero value is
// ready to use. Buffers is safe for concurrent use.
type Buffers struct {
	pools [9]sync.Pool // of *[]byte, from smallestBuffer to largestBuffer
}

// BufferSize returns the size of a buffer for n bytes.
func BufferSize(n int64) int64 {
	switch {
	case n <= smallestBuffer:
		return smallestBuffer
	case n <= largestBuffer:
		return 1 << bits.Len64(uint64(n-1))
	}
	return n
}

// pool returns the pool for buffers of a size, or nil.
func (p *Buffers) pool(size int) *sync.Pool {
	if size < smallestBuffer || size > largestBuffer || size&(size-1) != 0 {
		return nil
	}
	return &p.pools[bits.TrailingZeros(uint(size))-bits.TrailingZeros(smallestBuffer)]
}

// Get returns an empty buffer with a capacity of at least n bytes.
func (p *Buffers) Get(n int64) []byte {
	size := BufferSize(n)
	if pool := p.pool(int(size)); pool != nil {
		if b, _ := pool.Get().(*[]byte); b != nil {
			return *b
		}
	}
	return make([]byte, 0, size)
}

// Put recycles a buffer that is no longer referenced.
func (p *Buffers) Put(b []byte) {
	if pool := p.pool(cap(b)); pool != nil {
		b = b[:0]
		pool.Put(&b)
	}
}
