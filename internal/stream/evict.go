package stream

import (
	"maps"
	"slices"
	"sort"
	"sync"

	"github.com/harness/log-service/internal/logs"
)

// Dropped implements batches.Stream.
func (s *stream) Dropped() bool { return s.gone.Load() }

// Evict implements batches.Stream: it evicts the batch that starts at first.
func (s *stream) Evict(first int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].first >= first })
	if i == len(s.index) || s.index[i].first != first || s.index[i].batch == nil {
		return
	}
	s.index[i].batch.Release()
	s.index[i].batch = nil
	if s.index[i].seg != nil {
		return
	}
	// Without a log the lines are lost. Eviction is in order, so the gap is at
	// the front and is removed from the index.
	n := 0
	for n < len(s.index) && s.index[n].batch == nil {
		s.account(&s.index[n], -1)
		n++
	}
	s.index = s.index[n:]
}

// delete marks s as deleted. Its cursors can still read while the log keeps its
// segments for other reasons: what they need counts as dead. The caller holds
// s.mu.
func (s *stream) delete() {
	s.closed, s.deleted = true, true
	if s.refs() == 0 {
		s.drop()
		return
	}
	for i := range s.index {
		s.account(&s.index[i], -1)
	}
	s.writtenOff = true
	s.eng.orphans.add(s)
}

// orphans are the deleted streams that still have cursors. The zero value is
// empty.
type orphans struct {
	mu  sync.Mutex // guards set; nothing else is taken under it
	set map[*stream]struct{}
}

func (o *orphans) add(s *stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.set == nil {
		o.set = make(map[*stream]struct{})
	}
	o.set[s] = struct{}{}
}

func (o *orphans) remove(s *stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.set, s)
}

func (o *orphans) all() []*stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.set))
}

// releaseOrphans releases seg for deleted streams that still have cursors.
// These continue in the archive, or report their unread lines as lost.
func (e *Engine) releaseOrphans(seg *segment) {
	for _, s := range e.orphans.all() {
		s.mu.Lock()
		if s.needs(seg) && !s.gone.Load() {
			s.drop()
		}
		s.mu.Unlock()
	}
}

// Archived implements logs.Archivable.
func (c *claim) Archived(a logs.Archived) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.forReaders().archived = &a
}
