package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/harness/log-service/internal/logs"
)

// span is a range of keys from one on and below another, which is open if nil.
type span struct{ from, to []byte }

func (r *span) has(key []byte) bool {
	return bytes.Compare(key, r.from) >= 0 && (r.to == nil || bytes.Compare(key, r.to) < 0)
}

// salvage reads a bucket of a damaged catalog.
type salvage struct {
	from   *handle
	bucket []byte
	put    func(k, v []byte) error

	tree
	root   int64   // of the bucket
	inline page    // of a bucket that has no root
	free   pageSet // nil: they are not known
	seen   pageSet // in this walk
	lost   *span   // the entries that this walk may have missed

	trusted bool        // the list of free pages, otherwise the references
	both    []reference // to pages that are free, in this walk
}

// run puts the entries that can be read, then those of leaves that no readable
// page refers to. lost is the range in which entries may be missing, nil if there
// is none.
func (s *salvage) run() (lost *span, err error) {
	err = guard(func() error { return s.from.db.View(s.open) })
	if err != nil && !errors.Is(err, logs.ErrDamaged) {
		return nil, err
	}
	if s.root == 0 {
		return s.small(err != nil)
	}
	damaged, err := s.examine()
	if err == nil {
		err = s.each(s.put)
	}
	if err != nil || s.lost == nil && !damaged {
		return nil, err
	}
	if damaged && s.lost == nil {
		s.lost = &span{} // the root is not the root of all
	}
	return s.lost, s.strays()
}

// small puts the entries of a bucket without a root.
func (s *salvage) small(damaged bool) (lost *span, err error) {
	for i := range s.inline.count {
		if e, bad := s.inline.entry(i); bad != nil || !s.valid(e.key, e.value) {
			damaged = true
		} else if err := s.put(e.key, e.value); err != nil {
			return nil, err
		}
	}
	if !damaged {
		return nil, nil
	}
	s.trusted = s.free != nil
	return &span{}, s.strays()
}

// open finds the bucket, also in a damaged page.
func (s *salvage) open(tx *bbolt.Tx) error {
	s.tree = treeOf(tx, s.from.file)
	if free, _, err := freePages(s.from.file); err == nil {
		s.free = newPageSet(s.end)
		for _, id := range free {
			if id < s.end {
				s.free.add(id)
			}
		}
	}
	top := s.tree
	top.flags = bucketFlag
	root := int64(tx.Cursor().Bucket().Root())
	leaf, _, err := top.find(root, s.bucket, false)
	if err != nil {
		leaf, _ = top.read(root)
	}
	for i := 0; leaf.leaf && i < leaf.count; i++ {
		if e, bad := leaf.entry(i); bad == nil && bytes.Equal(e.key, s.bucket) {
			s.root, s.inline, bad = e.bucket()
			return errorOr(bad, err)
		}
	}
	if err == nil && bytes.Equal(s.bucket, bucketBlobs) {
		err = badPage(root, "has no bucket %q", s.bucket)
	}
	return err
}

// examine walks the bucket without putting anything, and reports whether its
// references are damaged. If a page is both used and free, either its reference is
// damaged, or the list of free pages: then that is not trusted.
func (s *salvage) examine() (damaged bool, err error) {
	err = s.each(func(_, _ []byte) error { return nil })
	if damaged = s.lost != nil; err != nil || s.free == nil {
		return damaged, err
	}
	for _, r := range append(s.both, reference{id: s.root}) {
		damaged = damaged || s.strayTwin(r)
	}
	s.trusted = damaged || len(s.both) == 0
	return damaged, nil
}

// strayTwin reports whether there is a page to which a reference led before one
// bit of it changed: nothing leads to it, and it begins with the same key.
func (s *salvage) strayTwin(r reference) bool {
	for bit := int64(1); bit < s.end; bit <<= 1 {
		id := r.id ^ bit
		if id < 2 || id >= s.end || s.seen.has(id) || s.free.has(id) {
			continue
		}
		p, err := s.checked(id, r.from, r.to)
		if err == nil && r.from == nil && p.leaf { // of which bucket?
			e, missing := p.entry(0)
			if !s.free.has(r.id) || missing != nil || !s.valid(e.key, e.value) {
				continue
			}
		}
		if err == nil {
			return true
		}
	}
	return false
}

// valid reports whether an entry is one of the bucket: the walk may have been
// led to the pages of another one.
func (s *salvage) valid(k, v []byte) bool {
	switch {
	case bytes.Equal(s.bucket, bucketBlobs):
		_, err := decodeRecord(k, v)
		return err == nil
	case bytes.Equal(s.bucket, bucketFiles):
		return len(k) == 8 && bytes.Equal(v, fileThere)
	case bytes.Equal(s.bucket, bucketGarbage):
		return len(k) == 8 && len(v) == 0
	}
	return len(k) == 12 && len(v) >= chunkHeader && binary.BigEndian.Uint32(v) == checksum(k, v[4:])
}

// each yields the entries of the bucket that can be read.
func (s *salvage) each(put func(k, v []byte) error) error {
	s.seen, s.both, s.lost = newPageSet(s.end), nil, nil
	return s.walk(reference{id: s.root}, put)
}

// miss notes that the keys from one on, below another, cannot be read. They
// come in order.
func (s *salvage) miss(from, to []byte) {
	if s.lost == nil {
		s.lost = &span{from: bytes.Clone(from)}
	}
	s.lost.to = bytes.Clone(to)
}

// reference is what leads to a page: its keys are from one (nil: any) on, and
// below another (nil: any).
type reference struct {
	id       int64
	from, to []byte
}

// walk yields the entries below a page, except damaged ones. bbolt's cursor
// would follow a damaged reference in a circle, or to an older page.
func (s *salvage) walk(r reference, put func(k, v []byte) error) error {
	p, err := s.checked(r.id, r.from, r.to)
	if errors.Is(err, logs.ErrDamaged) || err == nil && !s.mayUse(r) {
		s.miss(r.from, r.to)
		return nil
	}
	for i := 0; err == nil && i < p.count; i++ {
		e, _ := p.entry(i)
		switch {
		case !p.leaf:
			err = s.walk(reference{e.child, e.key, p.keyAfter(i, r.to)}, put)
		case s.valid(e.key, e.value):
			err = put(e.key, e.value)
		default:
			s.miss(e.key, append(bytes.Clone(e.key), 0))
		}
	}
	return err
}

// mayUse reports whether a page is one of the bucket, as far as that is known.
func (s *salvage) mayUse(r reference) bool {
	if s.free != nil && s.free.has(r.id) {
		s.both = append(s.both, r)
		if s.trusted {
			return false
		}
	}
	return s.seen.add(r.id)
}

// strays puts the entries of all leaves in the file that are not free: what
// refers to them may be damaged. Only free pages have older states.
func (s *salvage) strays() error {
	if !s.trusted {
		return nil
	}
	for id, size := int64(2), int64(0); id < s.end; id += size {
		size = 1
		if s.free.has(id) {
			continue
		}
		p, err := s.read(id)
		if err != nil {
			continue // it is damaged, or the list of free pages
		}
		if s.check(p, nil, nil) == nil {
			size = int64(len(p.b) / pageSize)
		}
		for i := 0; p.leaf && i < p.count; i++ {
			e, err := p.entry(i)
			if err != nil || !s.valid(e.key, e.value) {
				continue
			}
			if err := s.put(e.key, e.value); err != nil {
				return err
			}
		}
	}
	return nil
}
