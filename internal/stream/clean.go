package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/harness/log-service/internal/logs"
)

const (
	// idleMemory is how long a batch stays in memory that the budget does not
	// press out: long enough for everyone who follows, and for the close.
	idleMemory = 10 * time.Second
	// slackSegments is how many segments of the log may be dead, beyond as
	// much again as lives, before the living part of the oldest is copied
	// forward.
	slackSegments = 4
	// maxUnpacked bounds the index entries that a clean can merge: 40 bytes
	// each, over all streams.
	maxUnpacked = 2 << 20
	// packBytes is how much a pack holds before compression.
	packBytes = 256 << 10
	// cleanBytes is how much one step of a clean stages.
	cleanBytes = 4 << 20
)

// poke tells the keeper that segments may have become free.
func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// keep evicts idle memory, lets segments go and prepares new ones, until Stop.
func (e *Engine) keep() {
	defer close(e.kept)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	expired := e.clock()
	for {
		select {
		case <-e.quit:
			return
		case <-tick.C:
			e.memory.Shrink()
			if now := e.clock(); now-expired >= recentTime/5 {
				expired = now
				e.expireRecents()
			}
			if e.wal != nil {
				e.memory.Idle(max(0, e.clock()-idleMemory))
				e.blocks.Idle(max(0, e.clock()-idleMemory))
			}
		case <-e.wake:
		}
		if e.wal != nil {
			e.wal.folder.refill()
			e.clean()
			e.wal.recover()
			e.prepare()
		}
	}
}

// prepare writes the file of the next segment where that pays.
func (e *Engine) prepare() {
	if !e.wal.wantsSpare() {
		return
	}
	if err := e.wal.makeSpare(); err != nil {
		e.log.Debug("cannot prepare a file for a later segment", "error", err)
	}
}

// clean lets the oldest segments go: those that no stream needs, and, while
// much of the log is dead or the index is long, also the others, after what
// lives in them was copied forward.
func (e *Engine) clean() {
	e.cleaning.Lock()
	defer e.cleaning.Unlock()
	for {
		seg, live, total := e.wal.oldest()
		if seg == nil {
			return
		}
		if live > 0 {
			if !e.worthCompacting(total) {
				return
			}
			if !e.copyForward(seg) {
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

// rewriteFailed copies forward what is in segments that could not be synced at
// the start: the disk may not have what was read from them.
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
		if !e.copyForward(seg) {
			return fmt.Errorf("segment %s cannot be synced, nor its lines written elsewhere: see the log", seg.name)
		}
		if err := e.wal.release(seg); err != nil {
			return fmt.Errorf("segment %s: %w", seg.name, err)
		}
	}
	return nil
}

// worthCompacting reports whether so much of the log's total bytes is dead that
// the rest is copied forward; on a full disk, whether a whole segment is.
func (e *Engine) worthCompacting(total int64) bool {
	live := e.live.Load()
	if e.wal.isFull() {
		return total-live > e.wal.segment
	}
	return total-live > live+slackSegments*e.wal.segment || e.unpacked.Load() > maxUnpacked
}

// copyForward writes what streams need of seg to the end of the log, packed.
// It reports whether nobody needs seg any more.
func (e *Engine) copyForward(seg *segment) bool {
	for _, s := range e.all() {
		if err := s.copyForward(seg); err != nil {
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
	// What is left belongs to streams that are being deleted.
	_, live, _ := e.wal.oldest()
	return live == 0
}

// all returns the streams that there are now.
func (e *Engine) all() []*stream {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := make([]*stream, 0, len(e.streams))
	for _, s := range e.streams {
		all = append(all, s)
	}
	return all
}

// copyForward moves what s has in seg, and stops needing it.
func (s *stream) copyForward(seg *segment) error {
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
		head = append(head, staged{rec: record{kind: kindClose, flags: closingFlags(s.how)}})
	}
	err := s.stage(head...)
	g := s.staging
	s.mu.Unlock()
	for err == nil && len(old) > 0 {
		var packs []staged
		if packs, old, err = s.pack(old); err == nil && len(packs) > 0 {
			s.mu.Lock()
			if s.deleting || s.deleted { // a pack after its deletion would be a log without a name
				s.mu.Unlock()
				return nil
			}
			// In the same group, and so in the same segment for good.
			last := &packs[len(packs)-1].rec
			if it, ok := s.recentRecord(packs[0].rec.first, last.first+int64(last.count)); ok {
				it.compacts = true
				packs = append(packs, it)
			}
			err = s.stage(packs...)
			g = s.staging
			s.mu.Unlock()
		}
		if err == nil {
			err = g.wait(s.eng.life)
		}
	}
	if err = errors.Join(err, g.wait(s.eng.life)); err != nil {
		return err
	}
	s.mu.Lock()
	s.leave(seg)
	s.mu.Unlock()
	return nil
}

func (s *stream) needs(seg *segment) bool {
	for _, x := range s.segs {
		if x == seg {
			return true
		}
	}
	return false
}

// leave forgets seg. What the index still has there could not be read: those
// lines are a hole from now on. The caller holds s.mu.
func (s *stream) leave(seg *segment) {
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
			s.eng.wal.disuse([]*segment{seg})
			return
		}
	}
}

// pack makes packs of the first of the entries, about cleanBytes of them, and
// returns the rest.
func (s *stream) pack(old []entry) (packs []staged, rest []entry, err error) {
	total := 0
	for len(old) > 0 && total < cleanBytes {
		n, size := 1, int(old[0].size)
		for !old[0].packed() && n < len(old) && !old[n].packed() && old[n].first == old[n-1].next() && size < packBytes {
			size += int(old[n].size)
			n++
		}
		batches, err := s.eng.read(s, old[:n])
		if err != nil {
			return nil, nil, err
		}
		packs = append(packs, s.packBatches(batches)...)
		total += size
		old = old[n:]
	}
	return packs, old, nil
}

// packBatches packs runs of batches without a gap between them.
func (s *stream) packBatches(batches []*logs.Batch) []staged {
	var packs []staged
	for len(batches) > 0 {
		if batches[0].Gap {
			batches = batches[1:]
			continue
		}
		raw, n := []byte(nil), 0
		for ; n < len(batches) && !batches[n].Gap; n++ {
			raw = append(raw, batches[n].Data...)
		}
		data := s.eng.packer.EncodeAll(raw, nil)
		first, next := batches[0].First, batches[n-1].Next()
		packs = append(packs, staged{data: data, compacts: true, rec: record{
			kind: kindPack, first: first, count: uint32(next - first), next: int64(len(raw)), dataCRC: checksum(data),
		}})
		batches = batches[n:]
	}
	return packs
}
