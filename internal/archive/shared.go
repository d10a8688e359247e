package archive

import (
	"bytes"
	"container/list"
	"runtime"
	"slices"
	"sync"
	"weak"
)

// framesBytes limits the decompressed frames that are cached for readers at the
// same position: about 64 frames.
const framesBytes = 16 << 20

// shared is what readers of the same archives share: the indexes of open
// archives, so that a thousand readers of a long log need only one copy, and
// the frames that were read last.
type shared struct {
	mu      sync.Mutex // guards everything below
	indexes map[indexKey]weak.Pointer[index]
	frames  map[frameKey]*list.Element
	order   list.List // of *cachedFrame, most recently used first
	size    int64     // bytes of the frames
}

type indexKey struct {
	content   uint32
	size, raw int64
}

type frameKey struct {
	index *index
	i     int
}

type cachedFrame struct {
	key  frameKey
	data []byte
}

// index returns an index equal to x: that of an open archive, or x itself.
func (s *shared) index(x *index) (same *index, others bool) {
	key := indexKey{x.content, x.size, x.raw}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.indexes[key].Value(); other != nil && other.equal(x) {
		return other, true
	}
	if s.indexes == nil {
		s.indexes = make(map[indexKey]weak.Pointer[index])
	}
	p := weak.Make(x)
	s.indexes[key] = p
	runtime.AddCleanup(x, func(key indexKey) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.indexes[key] == p {
			delete(s.indexes, key)
		}
	}, key)
	return x, false
}

func (x *index) equal(y *index) bool {
	return x.first == y.first && x.flags == y.flags && x.content == y.content &&
		slices.Equal(x.frames, y.frames) && bytes.Equal(x.whole, y.whole)
}

// frame returns frame i of x if it is cached, otherwise nil. It must not be
// changed.
func (s *shared) frame(x *index, i int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.frames[frameKey{x, i}]
	if e == nil {
		return nil
	}
	s.order.MoveToFront(e)
	return e.Value.(*cachedFrame).data
}

// keep caches frame i of x and evicts the least recently used frames.
func (s *shared) keep(x *index, i int, data []byte) {
	if len(data) > framesBytes/8 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := frameKey{x, i}
	if s.frames[key] != nil {
		return
	}
	if s.frames == nil {
		s.frames = make(map[frameKey]*list.Element)
	}
	s.frames[key] = s.order.PushFront(&cachedFrame{key, data})
	for s.size += int64(len(data)); s.size > framesBytes; {
		f := s.order.Remove(s.order.Back()).(*cachedFrame)
		delete(s.frames, f.key)
		s.size -= int64(len(f.data))
	}
}
