package stream

import (
	"slices"
	"sort"

	"github.com/harness/log-service/internal/logs"
)

// blocksShare: 1/blocksShare of the memory budget is for lines read back from
// disk. Readers of old lines must not evict what readers at the end of a log
// are about to read.
const blocksShare = 4

// blockOwner is a stream in its role as owner of the blocks read back for it.
// Blocks do not overlap, and are cached for a while for readers at the same
// position.
type blockOwner stream

// Dropped implements batches.Stream.
func (o *blockOwner) Dropped() bool { return o.gone.Load() }

// Evict implements batches.Stream.
func (o *blockOwner) Evict(first int64) {
	s := (*stream)(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.readers
	i := r.blockAt(first)
	if i < len(r.blocks) && r.blocks[i].First == first {
		r.blocks[i].Release()
		r.blocks = slices.Delete(r.blocks, i, i+1)
	}
	if len(r.blocks) == 0 {
		r.blocks = nil
	}
}

// blockAt returns the index of the block that contains sequence pos, or else of
// the first one after it. The caller holds the stream's mu.
func (r *readers) blockAt(pos int64) int {
	return sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].Next() > pos })
}

// keepBlock caches what was read back, unless some of it is cached already.
func (s *stream) keepBlock(b *logs.Batch) {
	if b.Gap {
		return
	}
	s.mu.Lock()
	r := s.readers
	i := r.blockAt(b.First)
	if s.gone.Load() || i < len(r.blocks) && r.blocks[i].First < b.Next() {
		s.mu.Unlock()
		return
	}
	r.blocks = slices.Insert(r.blocks, i, b)
	s.eng.blocks.Add((*blockOwner)(s), b)
	s.mu.Unlock()
	s.eng.blocks.Shrink()
}

// dropBlocks releases all blocks. The caller holds s.mu.
func (s *stream) dropBlocks() {
	if s.readers == nil {
		return
	}
	for _, b := range s.readers.blocks {
		b.Release()
	}
	s.readers.blocks = nil
	s.eng.blocks.Forget()
}
