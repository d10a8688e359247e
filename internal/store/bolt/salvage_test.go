//go:build linux

package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

// TestACatalogCutShortKeepsWhatIsLeft cuts a catalog before each of its used pages.
func TestACatalogCutShortKeepsWhatIsLeft(t *testing.T) {
	path := dataFile(t)
	s := openStore(t, path)
	for i := range 100 { // of which the root refers to all pages
		put(t, s, storetest.ID("acc", fmt.Sprintf("many/%05d", i)), storetest.Noise(1000))
	}
	for i := range 3 { // the root is written last: it shall not be the last page
		put(t, s, storetest.ID("acc", fmt.Sprintf("many/%05d", 30*i)), storetest.Noise(10))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	on, err := blobsOnPages(path)
	if err != nil {
		t.Fatal(err)
	}
	pages, tried := usedPages(t, path), 0
	for _, cut := range slices.Backward(pages) {
		if err := os.Truncate(path, max(cut, 2)*pageSize); err != nil {
			t.Fatal(err)
		}
		found, _ := salvaged(t, path)
		if len(found) == 0 { // also the root is cut off
			break
		}
		for page, keys := range on {
			for key := range keys {
				if page < cut && !found[key] {
					t.Errorf("cut at page %d: %q on page %d is lost", cut, key, page)
				}
			}
		}
		tried++
	}
	t.Logf("cut at %d of %d used pages, until the root was cut off", tried, len(pages))
	if tried < 10 {
		t.Errorf("%d cuts: it proves nothing", tried)
	}
}

// TestARebuildReadsADamagedSmallBucket flips each bit of a bucket that is in the
// page of its parent.
func TestARebuildReadsADamagedSmallBucket(t *testing.T) {
	path := dataFile(t)
	s := openStore(t, path)
	put(t, s, crashID, bytes.Repeat([]byte("s"), 20))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept, lost := 0, 0
	for _, page := range usedPages(t, path) {
		at := int(page) * pageSize
		start := bytes.Index(file[at:at+pageSize], bucketBlobs)
		if start < 0 || !bytes.Contains(file[at:at+pageSize], bucketAbout) {
			continue
		}
		start += at + len(bucketBlobs)
		for bit := start * 8; bit < (start+bucketHeader+pageHeader+16)*8; bit++ {
			bad := bytes.Clone(file)
			bad[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if found, _ := salvaged(t, path); len(found) == 1 {
				kept++
			} else {
				lost++
			}
		}
	}
	t.Logf("%d flips: the entry is found after %d", kept+lost, kept)
	if kept == 0 || lost == 0 {
		t.Error("it proves nothing")
	}
}

// TestARebuildTakesNoContentForAPage stores a small blob with bytes that are, where
// a page continues, a leaf with the record of another one.
func TestARebuildTakesNoContentForAPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blobs.db")
	forged := &record{info: logs.BlobInfo{Size: 6, Archive: true}, inline: []byte("forged")}
	forgedKey, key := []byte("victim\x00log"), []byte("acc\x00zz") // after all others
	le := binary.LittleEndian
	layOut := func(id int64) (at int64) {
		leaf := le.AppendUint64(nil, uint64(id))
		leaf = le.AppendUint32(leaf, leafFlag|1<<16)
		leaf = le.AppendUint32(leaf, 0)
		leaf = append(leaf, bytes.Repeat([]byte{0}, 4)...)
		value := forged.encode(forgedKey)
		for _, n := range []int{16, len(forgedKey), len(value)} {
			leaf = le.AppendUint32(leaf, uint32(n))
		}
		leaf = append(append(leaf, forgedKey...), value...)
		rec := &record{info: logs.BlobInfo{Size: inlineSize - 1, Archive: true}, inline: bytes.Repeat([]byte{'x'}, inlineSize-1)}
		err := create(path, func(db *bbolt.DB) error {
			return db.Update(func(tx *bbolt.Tx) error {
				for i := range 30 {
					other := &record{info: logs.BlobInfo{Size: 1000, Archive: true}, inline: storetest.Noise(1000)}
					k := fmt.Appendf(nil, "acc\x00%02d", i)
					if err := tx.Bucket(bucketBlobs).Put(k, other.encode(k)); err != nil {
						return err
					}
				}
				return tx.Bucket(bucketBlobs).Put(key, rec.encode(key))
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		start := bytes.LastIndex(file, rec.inline)
		at = int64(start/pageSize + 1)
		if id == 0 {
			return at
		}
		// The record with its checksum, as if it had been uploaded.
		content := bytes.Clone(rec.inline)
		copy(content[int(at)*pageSize-start:], leaf)
		old := rec.encode(key)
		rec.inline = content
		file = bytes.Replace(file, old, rec.encode(key), 1)
		// The root, so that all leaves are looked for.
		for id := int64(2); id < int64(len(file)/pageSize); id++ {
			if p, _, err := parsePage(file[id*pageSize:], id); err == nil && !p.leaf {
				clear(file[id*pageSize:][:pageSize])
			}
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	if at := layOut(0); layOut(at) != at {
		t.Fatal("not the same layout")
	}
	found, _ := salvaged(t, path)
	if len(found) != 31 || found[string(forgedKey)] {
		t.Errorf("%d blobs of 31 are found, the forged one: %v", len(found), found[string(forgedKey)])
	}
}
