//go:build linux

package bolt

import (
	"bytes"
	"testing"
)

// TestARebuildFindsAllBlobsAndNoDeletedOne has damage that only one rule of a
// rebuild handles.
func TestARebuildFindsAllBlobsAndNoDeletedOne(t *testing.T) {
	good := draw(t)
	for name, c := range map[string]struct {
		damage func(t *testing.T, d *drawn)
		lost   int  // the one blob that cannot be found; 0: none
		missed bool // some may be, whose files are then looked for
	}{
		"nothing": {func(*testing.T, *drawn) {}, 0, false},
		// The list of free pages is not to be trusted then.
		"a free page that is used": {func(_ *testing.T, d *drawn) { d.freeUp(d.blobs.children[1].children[1].id) }, 0, false},
		// Nor is the reference, and the older page has deleted blobs.
		"a reference to an older page": {func(t *testing.T, d *drawn) {
			parent, i, older := d.older(t)
			to, ok := d.twin(older)
			if !ok {
				t.Fatal("no free page has the number")
			}
			d.relocate(parent.children[i].id, to)
			d.writeFree()
			d.refer(parent, i, &node{page: page{id: older}})
		}, 0, true},
		"a root that is a page of its own tree": {func(t *testing.T, d *drawn) {
			to, ok := d.twin(d.blobs.id)
			if !ok {
				t.Fatal("no free page has the number")
			}
			d.relocate(d.blobs.children[1].id, to)
			d.writeFree()
			d.refer(d.blobs, 1, &node{page: page{id: to}})
			d.set(d.roots["blobs"], to)
		}, 0, true},
		"a record": {func(_ *testing.T, d *drawn) {
			d.b[bytes.LastIndex(d.b, longKey(7))+len(longKey(7))+20] ^= 1
		}, 7, true},
	} {
		d := *good
		d.b = bytes.Clone(good.b)
		c.damage(t, &d)
		found, lost := salvaged(t, d.write(t))
		if (lost != nil) != c.missed {
			t.Errorf("%s: blobs may be missed in %v", name, lost)
		}
		for i := range drawnBlobs {
			want := (i < deletedFrom || i >= deletedTo) && (c.lost == 0 || i != c.lost)
			if got := found[string(longKey(i))]; got != want {
				t.Errorf("%s: blob %d: found %v, want %v", name, i, got, want)
			}
		}
	}
}

// older returns a reference to a leaf, and a free page that begins as the leaf
// does and has deleted blobs.
func (d *drawn) older(t *testing.T) (parent *node, i int, older int64) {
	t.Helper()
	for _, parent := range d.blobs.children {
		for i, leaf := range parent.children {
			for _, id := range d.free {
				p, _, err := parsePage(d.b[id*pageSize:][:pageSize], id)
				if err == nil && p.leaf && p.count > leaf.count && bytes.Equal(key0(&node{page: p}), key0(leaf)) {
					return parent, i, id
				}
			}
		}
	}
	t.Fatal("no free page has an older state")
	return nil, 0, 0
}
