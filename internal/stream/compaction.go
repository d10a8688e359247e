package stream

import (
	"errors"
	"fmt"

	"github.com/harness/log-service/internal/logs"
)

const (
	// deadSegments: the oldest segment is compacted once the dead bytes of the
	// log exceed its live bytes by this many segments.
	deadSegments = 4
	// maxUncompacted limits the index entries that a compaction can merge: 40
	// bytes each, over all streams.
	maxUncompacted = 2 << 20
	// compactedBytes is the size of a compacted block before compression.
	compactedBytes = 256 << 10
	// compactStep is how much one step of a compaction stages, and tightStep while
	// the disk is nearly full.
	compactStep = 4 << 20
	tightStep   = 256 << 10
)

// reclaim releases the oldest segments: those that no stream needs and, while
// much of the log is dead or the index is long, also others, after their live
// records were compacted.
func (e *Engine) reclaim() {
	e.reclaiming.Lock()
	defer e.reclaiming.Unlock()
	for {
		seg, live, total := e.wal.oldest()
		if seg == nil {
			return
		}
		if live > 0 {
			if !e.worthCompacting(seg, total) {
				return
			}
			if !e.compact(seg) {
				return
			}
		}
		if err := e.wal.release(seg); err != nil {
			e.log.Error("cannot remove a segment that is no longer needed", "segment", seg.name, "error", err)
			return
		}
		select {
		case <-e.quit:
			return
		default:
		}
	}
}

// rewriteFailed compacts the segments that could not be synced at startup: what
// was read from them may not be on the disk.
func (e *Engine) rewriteFailed() error {
	for e.wal.rewrite {
		e.wal.segMu.Lock()
		seg, rewrite := e.wal.segments[0], false
		for _, x := range e.wal.segments {
			rewrite = rewrite || x.failed && x.sealed
		}
		e.wal.segMu.Unlock()
		if e.wal.rewrite = rewrite; !rewrite {
			return nil
		}
		if !e.compact(seg) {
			return fmt.Errorf("segment %s cannot be synced, nor its lines written elsewhere: see the log", seg.name)
		}
		if err := e.wal.release(seg); err != nil {
			return fmt.Errorf("segment %s: %w", seg.name, err)
		}
	}
	return nil
}

// worthCompacting reports whether enough of the log's total bytes is dead to
// compact the rest. While the disk is nearly full, as much as seg,
// the oldest one, holds is enough.
func (e *Engine) worthCompacting(seg *segment, total int64) bool {
	live := e.live.Load()
	if e.wal.tight.Load() {
		return total-live > seg.used
	}
	return total-live > live+deadSegments*e.wal.segment || e.uncompacted.Load() > maxUncompacted
}

// compact writes what streams need of seg to the end of the log, as compacted
// blocks. It reports whether seg is no longer needed.
func (e *Engine) compact(seg *segment) bool {
	for _, s := range e.all() {
		if err := s.compact(seg); err != nil {
			e.log.Warn("cannot compact a segment now", "segment", seg.name, "error", err)
			return false
		}
		select {
		case <-e.quit:
			return false
		default:
		}
	}
	e.releaseOrphans(seg)
	// The rest belongs to streams that are being deleted.
	_, live, _ := e.wal.oldest()
	return live == 0
}

// all returns the current streams.
func (e *Engine) all() []*stream {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := make([]*stream, 0, len(e.streams))
	for _, s := range e.streams {
		all = append(all, s)
	}
	return all
}

// compact moves what s has in seg to the end of the log, and releases seg.
func (s *stream) compact(seg *segment) error {
	s.mu.Lock()
	if !s.needs(seg) || s.deleted || s.deleting {
		s.mu.Unlock()
		return nil
	}
	var old []entry
	for i := range s.index {
		if s.index[i].seg == seg {
			old = append(old, s.index[i])
		}
	}
	open := s.openRecord()
	open.compacts = true
	head := []staged{open}
	if s.closed {
		head = append(head, s.closeRecord(s.how))
	}
	err := s.stage(head...)
	g := s.staging
	s.mu.Unlock()
	for err == nil && len(old) > 0 {
		var blocks []staged
		if blocks, old, err = s.compactEntries(old); err == nil && len(blocks) > 0 {
			if g, err = s.stageBlocks(blocks); g == nil && err == nil {
				return nil // deleted
			}
		}
		if err == nil {
			err = g.wait(s.eng.life)
		}
	}
	if err = errors.Join(err, g.wait(s.eng.life)); err != nil {
		return err
	}
	s.mu.Lock()
	s.dropSegment(seg)
	s.mu.Unlock()
	return nil
}

// stageBlocks stages compacted blocks with what identifies retries of the appends
// in them. It returns no group if s is deleted: a block after that would be a log
// without a name.
func (s *stream) stageBlocks(blocks []staged) (*group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleting || s.deleted {
		return nil, nil
	}
	// In the same group, and so always in the same segment.
	last := &blocks[len(blocks)-1].rec
	if it, ok := s.recentRecord(blocks[0].rec.first, last.first+int64(last.count)); ok {
		it.compacts = true
		blocks = append(blocks, it)
	}
	err := s.stage(blocks...)
	return s.staging, err
}

func (s *stream) needs(seg *segment) bool {
	for _, x := range s.segs {
		if x == seg {
			return true
		}
	}
	return false
}

// dropSegment releases seg. Lines that the index still has there could not be
// read: they are a gap from now on. The caller holds s.mu.
func (s *stream) dropSegment(seg *segment) {
	if s.gone.Load() {
		return
	}
	kept := s.index[:0]
	for _, x := range s.index {
		if x.seg != seg {
			kept = append(kept, x)
			continue
		}
		s.account(&x, -1)
		if x.batch != nil {
			x.batch.Release()
		}
	}
	clear(s.index[len(kept):])
	s.index = kept
	for i, x := range s.segs {
		if x == seg {
			s.segs = append(s.segs[:i:i], s.segs[i+1:]...)
			s.eng.wal.unref([]*segment{seg})
			return
		}
	}
}

// compactEntries makes compacted blocks of the first entries, about one step of
// them, and returns the rest.
func (s *stream) compactEntries(old []entry) (blocks []staged, rest []entry, err error) {
	total, step := 0, compactStep
	if s.eng.wal.tight.Load() {
		step = tightStep
	}
	for len(old) > 0 && total < step {
		n, size := 1, int(old[0].size)
		for !old[0].compacted() && n < len(old) && !old[n].compacted() && old[n].first == old[n-1].next() && size < compactedBytes {
			size += int(old[n].size)
			n++
		}
		batches, err := s.eng.read(s, old[:n])
		if err != nil {
			return nil, nil, err
		}
		blocks = append(blocks, s.compactBatches(batches)...)
		total += size
		old = old[n:]
	}
	return blocks, old, nil
}

// compactBatches compresses each run of batches without a gap into a block.
func (s *stream) compactBatches(batches []*logs.Batch) []staged {
	var blocks []staged
	for len(batches) > 0 {
		if batches[0].Gap {
			batches = batches[1:]
			continue
		}
		raw, n := []byte(nil), 0
		for ; n < len(batches) && !batches[n].Gap; n++ {
			raw = append(raw, batches[n].Data...)
		}
		data := s.eng.encoder.EncodeAll(raw, nil)
		first, next := batches[0].First, batches[n-1].Next()
		blocks = append(blocks, staged{data: data, compacts: true, rec: record{
			kind: kindCompacted, first: first, count: uint32(next - first), next: int64(len(raw)), dataCRC: checksum(data),
		}})
		batches = batches[n:]
	}
	return blocks
}
