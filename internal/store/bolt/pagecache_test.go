//go:build linux

package bolt

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/store/storetest"
)

// pathTo returns the pages on the path to a blob and their neighbors, from the root on.
func pathTo(t *testing.T, s *Store, id logservice.ID) (pages []int64) {
	t.Helper()
	key, err := blobKey(id, 1)
	if err != nil {
		t.Fatal(err)
	}
	err = s.view(func(tx *txn) error {
		tx.pages.touched = &pages
		_, _, _, err := tx.at(bucketBlobs, key, true)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// TestACommitEndsTheTrustInThePagesThatItReplaces stores a blob among others.
func TestACommitEndsTheTrustInThePagesThatItReplaces(t *testing.T) {
	s := openStore(t, dataFile(t))
	storeMany(t, s, 40, 6000)
	known := &s.db.Load().known
	id := storetest.ID("acc", "many/00020")
	old := pathTo(t, s, id)
	for _, page := range old {
		if !known.has(page) {
			t.Fatalf("page %d is not known: it proves nothing", page)
		}
	}
	put(t, s, id, storetest.Noise(100))
	for _, page := range old {
		if known.has(page) {
			t.Errorf("page %d is known after it was replaced", page)
		}
	}
}

// TestAKnownPageThatChangesIsNotFollowed makes the root refer to itself, or to
// its second child twice, while the catalog is open.
func TestAKnownPageThatChangesIsNotFollowed(t *testing.T) {
	for to := range 2 { // of the pages on the path; the neighbor comes before the leaf
		path := dataFile(t)
		s := openStore(t, path)
		storeMany(t, s, 40, 6000)
		id := storetest.ID("acc", "many/00000")
		pages := pathTo(t, s, id)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(pages[to])), pages[0]*pageSize+pageHeader+8)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), id); !errors.Is(err, logservice.ErrUnavailable) {
			t.Fatalf("Get: %v, want ErrUnavailable", err)
		}
		if err := untilHealthy(s); err != nil {
			t.Fatal(err)
		}
		mustHold(t, s, id, storetest.Noise(6000))
	}
}
