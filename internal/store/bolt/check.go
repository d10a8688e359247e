package bolt

import (
	"bytes"
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"
)

// checker checks what no path from a root to a leaf shows: that each page is
// used once. It reads the branch pages, about a hundredth of a catalog, and of
// the leaves only those before free pages. Those on a path are checked when
// they are used; see tree.find.
type checker struct {
	tree
	free, used pageSet      // used: the first page of each node
	roots      *[]int64     // of the buckets
	goOn       func() error // asked before each page is read
}

// checkPages checks an open catalog that nobody changes.
func checkPages(h *handle, goOn func() error) error {
	return h.db.View(func(tx *bbolt.Tx) error {
		free, list, err := freePages(h.file)
		if err != nil {
			return err
		}
		c := &checker{tree: treeOf(tx, h.file), goOn: goOn, roots: new([]int64)}
		c.free, c.used = newPageSet(c.end), newPageSet(c.end)
		c.used.add(0)
		c.used.add(1)
		if n := len(free); n > 0 && free[n-1] >= c.end {
			return badPage(free[n-1], "does not exist, but is free")
		}
		for _, id := range free {
			c.free.add(id)
		}
		if err := c.take(list); err != nil {
			return err
		}
		if err := c.buckets(tx); err != nil {
			return err
		}
		if err := c.ends(append(free, c.end), list); err != nil {
			return err
		}
		for _, root := range *c.roots {
			if err := c.onlyRoot(root); err != nil {
				return err
			}
		}
		return nil
	})
}

// take notes that a page is used.
func (c *checker) take(id int64) error {
	if id < 2 || id >= c.end || c.free.has(id) || !c.used.add(id) {
		return badPage(id, "is used twice, or is free, or does not exist")
	}
	return nil
}

// buckets checks the tree of buckets, then those below it.
func (c *checker) buckets(tx *bbolt.Tx) error {
	top := *c
	top.flags = bucketFlag
	root := int64(tx.Cursor().Bucket().Root())
	if err := top.trunk(root); err != nil {
		return err
	}
	for next := []byte{}; next != nil; {
		var leaf page
		var err error
		if leaf, next, err = top.find(root, next, false); err != nil {
			return err
		}
		for i := range leaf.count {
			e, _ := leaf.entry(i)
			if err := c.bucket(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) bucket(e entry) error {
	known := slices.ContainsFunc([][]byte{bucketBlobs, bucketFiles, bucketAbout, bucketChunks, bucketGarbage}, func(name []byte) bool {
		return bytes.Equal(name, e.key)
	})
	if !known {
		return badPage(0, "belongs to an unknown bucket %q", e.key)
	}
	root, inline, err := e.bucket()
	switch {
	case err != nil:
		return err
	case root == 0:
		return c.check(inline, nil, nil)
	}
	*c.roots = append(*c.roots, root)
	return c.trunk(root)
}

// trunk checks the branch pages of a tree.
func (c *checker) trunk(root int64) error {
	depth, err := c.depth(root, false)
	if err != nil {
		return err
	}
	// A reference to a page further below would skip all next to that.
	if last, err := c.depth(root, true); err != nil || last != depth {
		return errorOr(err, badPage(root, "has leaves of different depths"))
	}
	return c.walk(root, nil, nil, depth)
}

func errorOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// depth counts the pages above the first or the last leaf.
func (c *checker) depth(id int64, last bool) (n int, err error) {
	var from []byte
	for ; n < maxDepth; n++ {
		p, err := c.checked(id, from, nil)
		if err != nil || p.leaf {
			return n, err
		}
		i := 0
		if last {
			i = p.count - 1
		}
		e, _ := p.entry(i)
		id, from = e.child, e.key
	}
	return n, badPage(id, "is in a cycle")
}

// walk checks a page that is so many levels above the leaves.
func (c *checker) walk(id int64, from, to []byte, above int) error {
	if err := c.take(id); err != nil || above == 0 {
		return err
	}
	if err := c.goOn(); err != nil {
		return err
	}
	p, err := c.checked(id, from, to)
	if err == nil && p.leaf {
		err = badPage(id, "is a leaf")
	}
	for i := 0; err == nil && i < p.count; i++ {
		e, _ := p.entry(i)
		err = c.walk(e.child, e.key, p.keyAfter(i, to), above-1)
	}
	return err
}

// onlyRoot reports a root that is damaged so that it is a page of its own tree:
// then the true one, whose number differs in one bit, is not used.
func (c *checker) onlyRoot(root int64) error {
	for bit := int64(1); bit < c.end; bit <<= 1 {
		id := root ^ bit
		if id < 2 || id >= c.end || c.used.has(id) || c.free.has(id) {
			continue
		}
		if p, err := c.checked(id, nil, nil); err == nil && !p.leaf {
			return badPage(id, "has no parent")
		}
	}
	return nil
}

// ends checks that no page before a free one, or before the end of all, extends
// into that: bbolt would write over it.
func (c *checker) ends(free []int64, list int64) error {
	var b [pageHeader]byte
	for i, id := range free {
		if i > 0 && free[i-1] == id-1 {
			continue
		}
		if err := c.goOn(); err != nil {
			return err
		}
		before := id - 1
		for !c.used.has(before) {
			before--
		}
		if err := c.readAt(b[:], before); err != nil {
			return err
		}
		le := binary.LittleEndian
		if n := int64(le.Uint32(b[12:])); before > 1 && (int64(le.Uint64(b[:])) != before || before+n >= id) {
			return badPage(before, "extends into free pages")
		}
	}
	// The list of free pages may have more pages than it needs.
	if err := c.readAt(b[:], list); err != nil {
		return err
	}
	for id := list + int64(binary.LittleEndian.Uint32(b[12:])); id > list; id-- {
		if err := c.take(id); err != nil {
			return err
		}
	}
	return nil
}

// pageSet is a set of page numbers.
type pageSet []uint64

func newPageSet(n int64) pageSet { return make(pageSet, n/64+1) }

func (s pageSet) has(id int64) bool { return s[id/64]>>(id%64)&1 != 0 }

// add reports whether the page is new in the set.
func (s pageSet) add(id int64) bool {
	had := s.has(id)
	s[id/64] |= 1 << (id % 64)
	return !had
}
