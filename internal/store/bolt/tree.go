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
// The checks read the file and not bbolt's mapping: a bad sector is an error
// there, and not a fault.

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
	file  io.ReaderAt
	end   int64  // the number of pages
	flags uint32 // of the entries in leaves: 0 or bucketFlag
	// known are pages that were checked before, leaves without their bytes; nil:
	// none are kept.
	known map[int64]page
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
	b := make([]byte, pageSize)
	if err := t.readAt(b, id); err != nil {
		return page{}, err
	}
	p, size, err := parsePage(b, id)
	if err == nil && size > pageSize {
		p.b = make([]byte, size)
		err = t.readAt(p.b, id)
	}
	return p, err
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
// them, in the order of their keys, on as many pages as they need. from is the
// first key, unless nil; the keys are below to, unless nil.
func (t tree) check(p page, from, to []byte) error {
	end, last := pageHeader+16*p.count, []byte(nil)
	for i := range p.count {
		e, err := p.entry(i)
		switch {
		case err != nil:
			return err
		case e.from != end, p.leaf && e.flags != t.flags:
			return badPage(p.id, "has a damaged entry")
		case bytes.Compare(e.key, last) <= 0, to != nil && bytes.Compare(e.key, to) >= 0, i == 0 && from != nil && !bytes.Equal(e.key, from):
			return badPage(p.id, "has a key in the wrong place")
		}
		end, last = end+len(e.key)+len(e.value), e.key
	}
	if p.count == 0 && (!p.leaf || from != nil) || (end+pageSize-1)/pageSize != (len(p.b)+pageSize-1)/pageSize {
		return badPage(p.id, "has another size than its entries")
	}
	return nil
}

func (t tree) checked(id int64, from, to []byte) (page, error) {
	p, err := t.read(id)
	if err == nil {
		err = t.check(p, from, to)
	}
	return p, err
}

// node is checked, for a page that may be known. One that is has its bytes if it
// is a branch.
func (t tree) node(id int64, from, to []byte) (page, error) {
	if p, ok := t.known[id]; ok {
		return p, nil
	}
	p, err := t.checked(id, from, to)
	if err == nil && t.known != nil {
		kept := p
		if p.leaf {
			kept.b = nil
		}
		t.known[id] = kept
	}
	return p, err
}

// find returns the leaf that has a key, if there is one, and where the next
// leaf begins; nil: it is the last. It checks the pages from the root to the leaf.
// wide also checks their neighbors: bbolt may merge them when it changes the
// key, and a damaged key in a branch leads to them those who look for others.
// The leaf may be without its bytes then.
func (t tree) find(root int64, key []byte, wide bool) (leaf page, next []byte, err error) {
	p, err := t.node(root, nil, nil)
	for depth := 0; err == nil && !p.leaf; depth++ {
		if depth == maxDepth {
			return p, nil, badPage(p.id, "is in a cycle")
		}
		at := max(0, sort.Search(p.count, func(i int) bool { e, _ := p.entry(i); return bytes.Compare(e.key, key) > 0 })-1)
		above := next
		for _, i := range []int{at - 1, at + 1} {
			if wide && i >= 0 && i < p.count && err == nil {
				e, _ := p.entry(i)
				_, err = t.node(e.child, e.key, p.keyAfter(i, above))
			}
		}
		if err == nil {
			e, _ := p.entry(at)
			next = p.keyAfter(at, above)
			p, err = t.node(e.child, e.key, next)
		}
	}
	if err == nil && !wide && p.b == nil {
		p, err = t.read(p.id)
	}
	return p, next, err
}

// has reports whether a leaf has a key.
func (p page) has(key []byte) bool {
	i := sort.Search(p.count, func(i int) bool { e, _ := p.entry(i); return bytes.Compare(e.key, key) >= 0 })
	e, err := p.entry(i)
	return i < p.count && err == nil && bytes.Equal(e.key, key)
}

// keyAfter returns the key after entry i, or end if that is the last.
func (p page) keyAfter(i int, end []byte) []byte {
	if i+1 == p.count {
		return end
	}
	e, _ := p.entry(i + 1)
	return e.key
}
