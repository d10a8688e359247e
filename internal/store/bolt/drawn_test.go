//go:build linux

package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/harness/log-service/internal/logs"
)

// node is a page of a bucket's tree.
type node struct {
	page
	children []*node
}

// drawn is a catalog whose pages are known, for tests to damage.
type drawn struct {
	b         []byte         // the file
	blobs     *node          // three levels, the last leaf of which has several pages
	roots     map[string]int // where the references to them are
	free      []int64
	list, end int64
}

// The blobs that a drawn catalog has, and those of them that were deleted.
const (
	drawnBlobs             = 120
	deletedFrom, deletedTo = 32, 81
)

// longKey makes trees of a few blobs deep.
func longKey(i int) []byte { return fmt.Appendf(nil, "acc\x00%0400d", i) }

func draw(t *testing.T) *drawn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blobs.db")
	put := func(tx *bbolt.Tx, i, size int) error {
		rec := record{info: logs.BlobInfo{Size: int64(size), Archive: true}, inline: make([]byte, size)}
		return tx.Bucket(bucketBlobs).Put(longKey(i), rec.encode(longKey(i)))
	}
	err := create(path, func(db *bbolt.DB) error {
		return errors.Join(db.Update(func(tx *bbolt.Tx) (err error) {
			for i := range drawnBlobs - 1 {
				err = errors.Join(err, put(tx, i, 100), tx.Bucket(bucketFiles).Put(generationKey(uint64(i)), fileThere))
			}
			return errors.Join(err, put(tx, drawnBlobs-1, 3*pageSize))
		}), db.Update(func(tx *bbolt.Tx) (err error) {
			for i := deletedFrom; i < deletedTo; i++ {
				err = errors.Join(err, tx.Bucket(bucketBlobs).Delete(longKey(i)))
			}
			return err
		}))
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &drawn{}
	if d.b, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	h, err := openBolt(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.db.Close() }()
	if d.free, d.list, err = freePages(h.file); err != nil {
		t.Fatal(err)
	}
	err = h.db.View(func(tx *bbolt.Tx) error {
		tr := treeOf(tx, h.file)
		d.end = tr.end
		d.blobs, err = nodeOf(tr, int64(tx.Bucket(bucketBlobs).Root()))
		d.roots = make(map[string]int)
		top := int(tx.Cursor().Bucket().Root()) * pageSize
		for _, name := range [][]byte{bucketBlobs, bucketFiles} {
			entry := binary.LittleEndian.AppendUint64(bytes.Clone(name), uint64(tx.Bucket(name).Root()))
			d.roots[string(name)] = top + bytes.Index(d.b[top:], entry) + len(name)
		}
		return err
	})
	if err != nil || len(d.free) < 5 || len(d.blobs.children) < 3 || len(d.blobs.children[0].children) < 2 {
		t.Fatal(err, len(d.free), len(d.blobs.children))
	}
	return d
}

func nodeOf(tr tree, id int64) (*node, error) {
	p, err := tr.read(id)
	n := &node{page: p}
	for i := 0; err == nil && !p.leaf && i < p.count; i++ {
		e, _ := p.entry(i)
		var child *node
		child, err = nodeOf(tr, e.child)
		n.children = append(n.children, child)
	}
	return n, err
}

func (n *node) last() *node { return n.children[len(n.children)-1] }

// set writes a number of 64 bits.
func (d *drawn) set(at int, v int64) { binary.LittleEndian.PutUint64(d.b[at:], uint64(v)) }

// refer changes the reference of n to its child i.
func (d *drawn) refer(n *node, i int, to *node) {
	d.set(int(n.id)*pageSize+pageHeader+16*i+8, to.id)
}

// spread makes the header of a page say that so many more pages continue it.
func (d *drawn) spread(id int64, more uint32) {
	at := d.b[int(id)*pageSize+12:]
	binary.LittleEndian.PutUint32(at, binary.LittleEndian.Uint32(at)+more)
}

// freeUp makes the list of free pages name a page in place of one of them.
func (d *drawn) freeUp(id int64) {
	i := 0
	for i+1 < len(d.free) && d.free[i+1] < id {
		i++
	}
	d.set(int(d.list)*pageSize+pageHeader+8*i, id)
}

// moveList moves the list of free pages to a free page before a used one.
func (d *drawn) moveList() {
	i := 0
	for i+1 < len(d.free) && d.free[i+1] == d.free[i]+1 {
		i++
	}
	to, from := d.free[i], d.list
	d.relocate(from, to)
	d.list = to
	d.writeFree()
	for at := pageHeader; at < 2*pageSize; at += pageSize { // the headers
		d.set(at+32, to)
		sum := fnv.New64a()
		_, _ = sum.Write(d.b[at : at+56])
		d.set(at+56, int64(sum.Sum64()))
	}
}

// relocate moves a page to a free one.
func (d *drawn) relocate(from, to int64) {
	copy(d.b[to*pageSize:(to+1)*pageSize], d.b[from*pageSize:])
	d.set(int(to)*pageSize, to)
	d.free = slices.DeleteFunc(slices.Clone(d.free), func(id int64) bool { return id == to })
	d.free = append(d.free, from)
	slices.Sort(d.free)
}

// writeFree writes the list of free pages.
func (d *drawn) writeFree() {
	for i, id := range d.free {
		d.set(int(d.list)*pageSize+pageHeader+8*i, id)
	}
}

// write makes a catalog of d.
func (d *drawn) write(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "blobs.db")
	if err := os.WriteFile(path, d.b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// twin returns a free page whose number differs from that of another in one bit.
func (d *drawn) twin(id int64) (to int64, ok bool) {
	for bit := int64(1); bit < d.end; bit <<= 1 {
		if slices.Contains(d.free, id^bit) {
			return id ^ bit, true
		}
	}
	return 0, false
}
