package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"

	"go.etcd.io/bbolt"

	"github.com/harness/log-service/internal/logs"
)

// bbolt has no checksums of its pages. A damaged reference can lead it around
// in a circle or to an older page, a damaged key hides what is below it, and a
// change of such pages makes it write over others. Therefore the pages that a
// read or a change of a key uses are checked before bbolt uses them (find), and
// what no single path shows is checked when a catalog is opened (see check.go).
// The entries of a page are compared with each other once: afterwards, until a
// commit replaces the page, only with the reference to it.

const (
	branchFlag = 0x01
	leafFlag   = 0x02
	// bucketFlag marks the entries of the tree of buckets.
	bucketFlag = 0x01
	// maxDepth is more than any tree has.
	maxDepth = 32
	// maxTreePage limits what a damaged page header can make a reader load.
	maxTreePage = 16 << 20
)

// errPages is the error of damaged pages, after which the catalog is rebuilt.
var errPages = fmt.Errorf("%w: pages of the catalog", logs.ErrDamaged)

func badPage(id int64, format string, args ...any) error {
	return fmt.Errorf("%w: page %d %s", errPages, id, fmt.Sprintf(format, args...))
}

// tree reads pages of a catalog.
type tree struct {
	file   io.ReaderAt
	mapped []byte // the file in memory, if a bad sector may be a fault (see guard)
	end    int64  // the number of pages
	flags  uint32 // of the entries in leaves: 0 or bucketFlag
	known  *pageCache
	// touched gets the pages that a change of a key may replace; nil: nothing.
	touched *[]int64
}

func treeOf(tx *bbolt.Tx, file io.ReaderAt) tree {
	return tree{file: file, end: tx.Size() / pageSize}
}

// page is a page with those that continue it.
type page struct {
	id    int64
	leaf  bool
	count int
	b     []byte
}

// read reads a page and checks its header.
func (t tree) read(id int64) (page, error) {
	if id < 2 || id >= t.end {
		return page{}, badPage(id, "does not exist")
	}
	b, err := t.bytes(id, pageSize)
	if err != nil {
		return page{}, err
	}
	p, size, err := parsePage(b, id)
	if err == nil && size > pageSize {
		p.b, err = t.bytes(id, size)
	}
	return p, err
}

func (t tree) bytes(id, size int64) ([]byte, error) {
	if at := id * pageSize; t.mapped != nil {
		if size > int64(len(t.mapped))-at {
			return nil, badPage(id, "extends beyond the end")
		}
		return t.mapped[at : at+size : at+size], nil
	}
	b := make([]byte, size)
	return b, t.readAt(b, id)
}

func (t tree) readAt(b []byte, id int64) error {
	err := readAt(t.file, b, id*pageSize)
	if errors.Is(err, logs.ErrDamaged) {
		err = badPage(id, "cannot be read: %v", err)
	}
	return err
}

// parsePage decodes the header of a page of size bytes, of which b has the first.
func parsePage(b []byte, id int64) (p page, size int64, err error) {
	le := binary.LittleEndian
	kind := le.Uint16(b[8:])
	p = page{id: id, leaf: kind == leafFlag, count: int(le.Uint16(b[10:])), b: b}
	size = (int64(le.Uint32(b[12:])) + 1) * pageSize
	if int64(le.Uint64(b)) != id || kind != branchFlag && kind != leafFlag || size > maxTreePage {
		err = badPage(id, "has no valid header")
	}
	return p, size, err
}

// entry is an entry of a page.
type entry struct {
	key, value []byte // in a branch, there is no value
	child      int64
	flags      uint32
	from       int // where the key begins
}

func (p page) entry(i int) (e entry, err error) {
	at := pageHeader + 16*i
	if i < 0 || at+16 > len(p.b) {
		return e, badPage(p.id, "has no entry %d", i)
	}
	le, b := binary.LittleEndian, p.b[at:]
	from, k, v := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), uint64(0)
	if p.leaf {
		e.flags = le.Uint32(b)
		from, k, v = uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[8:])), uint64(le.Uint32(b[12:]))
	} else {
		e.child = int64(le.Uint64(b[8:]))
	}
	if from+k+v > uint64(len(b)) {
		return e, badPage(p.id, "has an entry beyond its end")
	}
	e.from, e.key, e.value = at+int(from), b[from:from+k:from+k], b[from+k:from+k+v]
	return e, nil
}

// check reports what is not as bbolt writes it: entries without a gap between
// them, in the order of their keys, on as many pages as they need. For from and
// to see within.
func (t tree) check(p page, from, to []byte) error {
	end, last := pageHeader+16*p.count, []byte(nil)
	for i := range p.count {
		e, err := p.entry(i)
		switch {
		case err != nil:
			return err
		case e.from != end, p.leaf && e.flags != t.flags:
			return badPage(p.id, "has a damaged entry")
		case bytes.Compare(e.key, last) <= 0:
			return badPage(p.id, "has a key in the wrong place")
		}
		end, last = end+len(e.key)+len(e.value), e.key
	}
	if (end+pageSize-1)/pageSize != (len(p.b)+pageSize-1)/pageSize {
		return badPage(p.id, "has another size than its entries")
	}
	return p.within(from, to)
}

// within reports a page that is not the one which a reference means: from is its
// first key, unless nil, and its keys are below to, unless nil.
func (p page) within(from, to []byte) error {
	if p.count == 0 {
		if !p.leaf || from != nil {
			return badPage(p.id, "is empty")
		}
		return nil
	}
	first, err := p.entry(0)
	if err != nil {
		return err
	}
	last, err := p.entry(p.count - 1)
	if err != nil {
		return err
	}
	if from != nil && !bytes.Equal(first.key, from) || to != nil && bytes.Compare(last.key, to) >= 0 {
		return badPage(p.id, "has a key in the wrong place")
	}
	return nil
}

// checked returns a page that has been checked, now or before.
func (t tree) checked(id int64, from, to []byte) (page, error) {
	p, err := t.read(id)
	switch {
	case err != nil:
	case t.known.has(id):
		err = p.within(from, to)
	default:
		if err = t.check(p, from, to); err == nil {
			t.known.add(id)
		}
	}
	return p, err
}

// find returns the leaf that has a key, if there is one, and where the next
// leaf begins; nil: it is the last. It checks the pages from the root to the leaf.
// wide also checks their neighbors: bbolt may merge them when it changes the
// key, and a damaged key in a branch leads to them those who look for others.
func (t tree) find(root int64, key []byte, wide bool) (leaf page, next []byte, err error) {
	visit := t.checked
	if wide && t.touched != nil { // in a transaction
		visit = func(id int64, from, to []byte) (page, error) {
			*t.touched = append(*t.touched, id)
			return t.checked(id, from, to)
		}
	}
	p, err := visit(root, nil, nil)
	for depth := 0; err == nil && !p.leaf; depth++ {
		if depth == maxDepth {
			return p, nil, badPage(p.id, "is in a cycle")
		}
		at := max(0, p.search(key, 1)-1)
		above := next
		for _, i := range []int{at - 1, at + 1} {
			if wide && i >= 0 && i < p.count && err == nil {
				e, _ := p.entry(i)
				_, err = visit(e.child, e.key, p.keyAfter(i, above))
			}
		}
		if err == nil {
			e, _ := p.entry(at)
			next = p.keyAfter(at, above)
			p, err = visit(e.child, e.key, next)
		}
	}
	return p, next, err
}

// search returns the first entry whose key is another one (with after 0) or is
// greater (with after 0 or 1).
func (p page) search(key []byte, after int) int {
	return sort.Search(p.count, func(i int) bool { e, _ := p.entry(i); return bytes.Compare(e.key, key) >= after })
}

// get returns nil if a leaf has no such key.
func (p page) get(key []byte) []byte {
	i := p.search(key, 0)
	if i == p.count {
		return nil
	}
	if e, err := p.entry(i); err == nil && bytes.Equal(e.key, key) {
		return e.value
	}
	return nil
}

// keyAfter returns the key after entry i, or end if that is the last.
func (p page) keyAfter(i int, end []byte) []byte {
	if i+1 == p.count {
		return end
	}
	e, _ := p.entry(i + 1)
	return e.key
}

// bucketHeader is the root and a number, 64 bits each. The page of a small
// bucket follows.
const bucketHeader = 16

// bucket decodes an entry of the tree of buckets. A small bucket has no root, but
// a leaf in the entry.
func (e entry) bucket() (root int64, inline page, err error) {
	if len(e.value) < bucketHeader {
		return 0, page{}, badPage(0, "has no bucket %q", e.key)
	}
	root = int64(binary.LittleEndian.Uint64(e.value))
	b := e.value[bucketHeader:]
	switch {
	case root != 0 && len(b) == 0:
		return root, page{}, nil
	case root != 0 || len(b) < pageHeader:
		return 0, page{}, badPage(root, "is no root of bucket %q", e.key)
	}
	inline, _, err = parsePage(b, 0)
	if err == nil && !inline.leaf {
		err = badPage(0, "is no leaf of bucket %q", e.key)
	}
	return 0, inline, err
}
