//go:build linux

package bolt

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// TestEachCheckOfAPageSeesWhatNoOtherDoes has damage that one check reports
// when a catalog is opened, or when the key is looked for. What would come of it
// otherwise is in the comments.
func TestEachCheckOfAPageSeesWhatNoOtherDoes(t *testing.T) {
	good := draw(t)
	var longest = good.blobs.last().last() // of several pages
	for name, c := range map[string]struct {
		damage func(d *drawn)
		want   string
		key    []byte // nil: at the opening
	}{
		// No file would be named by its bucket, and all would be removed.
		"a leaf of the blobs as the root of the files": {func(d *drawn) { d.set(d.roots["files"], d.blobs.children[1].children[1].id) }, "is used twice", nil},
		// The blobs below would not be found.
		"no page between the root and its first leaf": {func(d *drawn) { d.refer(d.blobs, 0, d.blobs.children[0].children[0]) }, "different depths", nil},
		"no page between the root and its last leaf": {func(d *drawn) {
			d.refer(d.blobs, len(d.blobs.children)-1, d.blobs.last().children[0])
		}, "different depths", nil},
		"no page between the root and another leaf": {func(d *drawn) { d.refer(d.blobs, 1, d.blobs.children[1].children[0]) }, "is a leaf", nil},
		"a root that refers to itself":              {func(d *drawn) { d.refer(d.blobs, 0, d.blobs) }, "cycle", nil},
		// bbolt would write over pages that are used.
		"a free page that continues another": {func(d *drawn) { d.freeUp(longest.id + 1) }, "extends into free pages", nil},
		"a free page that is used":           {func(d *drawn) { d.freeUp(longest.id) }, "or is free", nil},
		"a list of free pages that goes on":  {func(d *drawn) { d.moveList(); d.spread(d.list, 1) }, "is used twice", nil},
		"a free page after the last":         {func(d *drawn) { d.freeUp(d.end + 1) }, "does not exist, but is free", nil},
		"a page that goes on, when it is replaced": {func(d *drawn) {
			d.spread(d.blobs.children[1].children[1].id, 1)
		}, "another size", key0(good.blobs.children[1].children[1])},
		// A blob would be missing.
		"the name of a bucket": {func(d *drawn) { d.b[d.roots["files"]-1] ^= 1 }, "unknown bucket", nil},
	} {
		d := *good
		d.b = bytes.Clone(good.b)
		c.damage(&d)
		h, err := openBolt(d.write(t), true)
		if err != nil {
			t.Fatal(name, err)
		}
		err = checkPages(h, func() error { return nil })
		if c.key != nil {
			if err != nil {
				t.Errorf("%s: found when it is opened: %v", name, err)
			}
			err = h.db.View(func(tx *bbolt.Tx) error {
				_, _, err := treeOf(tx, h.file).find(d.blobs.id, c.key, true)
				return err
			})
		}
		if !errors.Is(err, errPages) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want that it %q", name, err, c.want)
		}
		if err := h.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func key0(n *node) []byte {
	e, _ := n.entry(0)
	return e.key
}
