package admission

import (
	"math/bits"
	"sync"
)

const (
	// smallestBuffer and largestBuffer bound the buffers that are used again:
	// below, there is nothing to save; above, bodies are rare and would keep
	// much memory from others.
	smallestBuffer = 1 << 12
	largestBuffer  = 1 << 20
)

// Buffers keeps the buffers of bodies for the next ones, by their size: powers
// of two. A fresh one costs its zeroing, and a share of a garbage collection.
// The zero value is ready to use, by any number of goroutines.
type Buffers struct {
	pools [9]sync.Pool // of *[]byte, from smallestBuffer to largestBuffer
}

// BufferSize is how large a buffer for n bytes is.
func BufferSize(n int64) int64 {
	switch {
	case n <= smallestBuffer:
		return smallestBuffer
	case n <= largestBuffer:
		return 1 << bits.Len64(uint64(n-1))
	}
	return n
}

// pool is where buffers of a size are kept, or nil.
func (p *Buffers) pool(size int) *sync.Pool {
	if size < smallestBuffer || size > largestBuffer || size&(size-1) != 0 {
		return nil
	}
	return &p.pools[bits.TrailingZeros(uint(size))-bits.TrailingZeros(smallestBuffer)]
}

// Get returns an empty buffer for n bytes or more.
func (p *Buffers) Get(n int64) []byte {
	size := BufferSize(n)
	if pool := p.pool(int(size)); pool != nil {
		if b, _ := pool.Get().(*[]byte); b != nil {
			return *b
		}
	}
	return make([]byte, 0, size)
}

// Put takes a buffer back that nobody refers to any more.
func (p *Buffers) Put(b []byte) {
	if pool := p.pool(cap(b)); pool != nil {
		b = b[:0]
		pool.Put(&b)
	}
}
