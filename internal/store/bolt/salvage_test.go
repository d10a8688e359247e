//go:build linux

package bolt

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

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
		found := salvaged(t, path)
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
			if len(salvaged(t, path)) == 1 {
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
