package bolt

import (
	"bytes"
	_ "embed"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/store/storetest"
)

// layout1 is a catalog that the version before layout 2 wrote: blobs inline
// and in chunks, and a deleted one whose chunks are still there.
//
//go:embed testdata/layout1.db.zst
var layout1 []byte

func layout1Content() map[string][]byte {
	m := map[string][]byte{}
	for i, n := range []int{0, 100, 5000, 2*chunkSize + 10, chunkSize, 3 * chunkSize} {
		m["log/"+string(rune('a'+i))] = bytes.Repeat(storetest.Text(1000), n/1000+1)[:n]
	}
	return m
}

func layout1File(t *testing.T) string {
	t.Helper()
	path := dataFile(t)
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := z.DecodeAll(layout1, nil)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatAnEarlierVersionStoredIsReadReplacedAndDeleted(t *testing.T) {
	path := layout1File(t)
	want := layout1Content()
	s := openStore(t, path)
	check := func(s *Store) {
		t.Helper()
		for key, content := range want {
			mustHold(t, s, storetest.ID("acc", key), content)
		}
		n := 0
		for range s.List(t.Context(), "acc", "") {
			n++
		}
		if n != len(want) {
			t.Errorf("%d blobs are listed, want %d", n, len(want))
		}
	}
	check(s)
	await(t, "end of the deleted chunks", func() bool { return legacyKeys(t, s, bucketGarbage) == 0 })
	if n := legacyKeys(t, s, bucketChunks); n != 3+3 {
		t.Errorf("%d chunks, want the 6 of two blobs", n)
	}
	b, err := s.Get(t.Context(), storetest.ID("acc", "log/f"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	r, err := b.Range(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	want["log/d"] = storetest.Noise(3*chunkSize + 1)
	put(t, s, storetest.ID("acc", "log/d"), want["log/d"])
	if err := s.Delete(t.Context(), storetest.ID("acc", "log/f")); err != nil {
		t.Fatal(err)
	}
	delete(want, "log/f")
	if _, err := io.ReadAll(r); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Errorf("reading on in a deleted blob: %v, want ErrBlobNotFound", err)
	}
	check(s)
	await(t, "end of all chunks", func() bool { return legacyKeys(t, s, bucketChunks) == 0 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(openStore(t, path))
}

func TestADamagedCatalogOfAnEarlierVersionKeepsItsChunks(t *testing.T) {
	path := layout1File(t)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file[0*pageSize+20] ^= 1 // a header
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, path)
	if err := untilHealthy(s); err != nil {
		t.Fatal(err)
	}
	for key, content := range layout1Content() {
		mustHold(t, s, storetest.ID("acc", key), content)
	}
}

func legacyKeys(t *testing.T, s *Store, bucket []byte) (n int) {
	t.Helper()
	if err := s.view(func(tx *txn) error { n = tx.Bucket(bucket).Stats().KeyN; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
