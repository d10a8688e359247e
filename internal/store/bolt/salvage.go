package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/harness/log-service/internal/logs"
)

// span is a range of keys excluding its ends; a nil end is open.
type span struct{ from, to []byte }

func (r *span) has(key []byte) bool {
	return bytes.Compare(key, r.from) > 0 && (r.to == nil || bytes.Compare(key, r.to) < 0)
}

// salvage reads a bucket of a damaged catalog.
type salvage struct {
	from   *handle
	bucket []byte
	put    func(k, v []byte) error

	tree
	root   int64   // of the bucket
	inline []entry // those of a bucket in the page of its parent
	free   pageSet // nil: they are not known
	seen   pageSet // in this walk

	trusted bool        // the list of free pages, otherwise the references
	both    []reference // to pages that are free, in this walk
}

// run puts the entries, from the start as far as they can be read, then backward
// from the end, then those of leaves that no readable page refers to. lost is the
// range in which entries may be missing, nil if there is none.
func (s *salvage) run() (lost *span, err error) {
	err = guard(func() error { return s.from.db.View(s.open) })
	if err != nil && !errors.Is(err, logs.ErrDamaged) {
		return nil, err
	}
	damaged := err != nil
	for _, e := range s.inline {
		if !s.valid(e.key, e.value) {
			damaged = true
		} else if err := s.put(e.key, e.value); err != nil {
			return nil, err
		}
	}
	switch {
	case s.root != 0:
		damaged = s.examine()
	case damaged:
		s.trusted = s.free != nil
		return &span{}, s.strays()
	default:
		return nil, nil
	}
	r := &span{}
	err = s.each(false, func(k, v []byte) error {
		if bytes.Compare(k, r.from) <= 0 || !s.valid(k, v) {
			return fmt.Errorf("%w: %q is no entry of bucket %q", logs.ErrDamaged, k, s.bucket)
		}
		r.from = bytes.Clone(k)
		return s.put(k, v)
	})
	if err == nil && damaged {
		return &span{}, s.strays() // the root is not the root of all
	}
	if !errors.Is(err, logs.ErrDamaged) {
		return nil, err
	}
	err = s.each(true, func(k, v []byte) error {
		if !r.has(k) || !s.valid(k, v) {
			return errWhole
		}
		r.to = bytes.Clone(k)
		return s.put(k, v)
	})
	if err != nil && !errors.Is(err, logs.ErrDamaged) && !errors.Is(err, errWhole) {
		return nil, err
	}
	return r, s.strays()
}

// open finds the bucket.
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
	b := tx.Bucket(s.bucket)
	switch {
	case b == nil && bytes.Equal(s.bucket, bucketBlobs):
		return fmt.Errorf("%w: it has no bucket %q", logs.ErrDamaged, s.bucket)
	case b == nil:
		return nil
	case b.Root() == 0:
		return b.ForEach(func(k, v []byte) error {
			s.inline = append(s.inline, entry{key: bytes.Clone(k), value: bytes.Clone(v)})
			return nil
		})
	}
	s.root = int64(b.Root())
	return nil
}

// examine walks the bucket without putting anything, and reports whether its
// references are damaged. If a page is both used and free, either its reference is
// damaged, or the list of free pages: then that is not trusted.
func (s *salvage) examine() (damaged bool) {
	damaged = s.each(false, func(_, _ []byte) error { return nil }) != nil
	if s.free == nil {
		return damaged
	}
	for _, r := range append(s.both, reference{id: s.root}) {
		damaged = damaged || s.strayTwin(r)
	}
	s.trusted = damaged || len(s.both) == 0
	return damaged
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

// errWhole ends a walk at a key that is known.
var errWhole = errors.New("no further keys")

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

// each yields the entries of the bucket up to the first damage.
func (s *salvage) each(backward bool, put func(k, v []byte) error) error {
	s.seen, s.both = newPageSet(s.end), nil
	return s.walk(reference{id: s.root}, backward, put)
}

// reference is what leads to a page: its keys are from one (nil: any) on, and
// below another (nil: any).
type reference struct {
	id       int64
	from, to []byte
}

// walk yields the entries below a page. bbolt's cursor would follow a damaged
// reference in a circle, or to an older page.
func (s *salvage) walk(r reference, backward bool, put func(k, v []byte) error) error {
	p, err := s.checked(r.id, r.from, r.to)
	if err != nil {
		return err
	}
	if s.free != nil && s.free.has(r.id) {
		s.both = append(s.both, r)
		if s.trusted {
			return badPage(r.id, "is used, but free")
		}
	}
	if !s.seen.add(r.id) {
		return badPage(r.id, "is used twice")
	}
	for i := range p.count {
		if backward {
			i = p.count - 1 - i
		}
		e, _ := p.entry(i)
		if p.leaf {
			err = put(e.key, e.value)
		} else {
			err = s.walk(reference{e.child, e.key, p.keyAfter(i, r.to)}, backward, put)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
			if err != nil || e.flags != 0 || !s.valid(e.key, e.value) {
				continue
			}
			if err := s.put(e.key, e.value); err != nil {
				return err
			}
		}
	}
	return nil
}
