package archive

import (
	"bytes"
	"container/list"
	"runtime"
	"slices"
	"sync"
	"weak"
)

// framesBytes bounds the frames that are kept, decompressed, for readers at the
// same place: some 64 of them.
const framesBytes = 16 << 20

// shared is what readers of the same archives have in common: the indexes of
// those that are open, so that a thousand readers of a long log hold its index
// once, and the frames that were read last.
type shared struct {
	mu      sync.Mutex // guards all below
	indexes map[indexKey]weak.Pointer[index]
	frames  map[frameKey]*list.Element
	order   list.List // of *keptFrame, the one used last first
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

type keptFrame struct {
	key  frameKey
	data []byte
}

// index returns an index that equals x: the one of an open archive, or x.
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

// frame returns frame i of x where it is kept, or nil. Nobody may change it.
func (s *shared) frame(x *index, i int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.frames[frameKey{x, i}]
	if e == nil {
		return nil
	}
	s.order.MoveToFront(e)
	return e.Value.(*keptFrame).data
}

// keep keeps frame i of x, in place of those that were used longest ago.
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
	s.frames[key] = s.order.PushFront(&keptFrame{key, data})
	for s.size += int64(len(data)); s.size > framesBytes; {
		f := s.order.Remove(s.order.Back()).(*keptFrame)
		delete(s.frames, f.key)
		s.size -= int64(len(f.data))
	}
}
