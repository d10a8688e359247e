//go:build linux

package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

// sample is a small store's content: inline and chunked, text and noise.
func sample() map[string][]byte {
	m := map[string][]byte{"big/noise": storetest.Noise(2*chunkSize + 10), "big/log": storetest.Text(3*chunkSize + 10)}
	for i := range 40 {
		m[fmt.Sprintf("small/%02d", i)] = storetest.Text(500 * i)
	}
	return m
}

// sampleFolder makes the store at path, closed.
func sampleFolder(t *testing.T, path string) {
	t.Helper()
	s := openStore(t, path)
	for key, content := range sample() {
		put(t, s, storetest.ID("acc", key), content)
	}
	put(t, s, storetest.ID("acc", "gone"), storetest.Noise(chunkSize))
	if err := s.Delete(t.Context(), storetest.ID("acc", "gone")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestABadPageOfTheCatalogCostsItsSmallBlobsOnly overwrites each page in
// turn, as a bad sector reads.
func TestABadPageOfTheCatalogCostsItsSmallBlobsOnly(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	sampleFolder(t, filepath.Join(good, "blobs.db"))
	file, err := os.ReadFile(filepath.Join(good, "blobs.db"))
	if err != nil {
		t.Fatal(err)
	}
	pages, tried, lost, worst := usedPages(t, filepath.Join(good, "blobs.db")), 0, 0, 0
	for _, page := range pages {
		dir := filepath.Join(t.TempDir(), "bad")
		if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "blobs.db")
		bad := bytes.Clone(file)
		copy(bad[page*pageSize:(page+1)*pageSize], make([]byte, pageSize))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		n := readAll(t, path)
		tried++
		lost, worst = lost+n, max(worst, n)
		if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 1 {
			t.Errorf("page %d: the damaged catalog is kept %d times, want once", page, len(aside))
		}
	}
	t.Logf("%d bad pages tried: %d of %d small blobs lost, by one page at most %d; large ones lost 0, deleted ones back 0", tried, lost, tried*40, worst)
	if lost == 0 || worst > 40 {
		t.Errorf("%d blobs lost: it proves nothing", lost)
	}
}

// readAll opens a store with a bad page and returns how many small blobs it
// has lost. All else must be there, after a restart, too.
func readAll(t *testing.T, path string) (lost int) {
	t.Helper()
	for range 2 {
		s, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		for err = errors.New("not tried"); err != nil; { // the first read may be what finds the damage
			if err = untilHealthy(s); err != nil {
				t.Fatal(err)
			}
			_, err = s.Expire(t.Context(), time.Time{})
		}
		lost = 0
		for key, content := range sample() {
			err := holds(t.Context(), s, key, content)
			switch {
			case err == nil:
			case errors.Is(err, logservice.ErrBlobNotFound) && strings.HasPrefix(key, "small/"):
				lost++
			default:
				t.Errorf("%s: %v", key, err)
			}
		}
		if err := holds(t.Context(), s, "gone", nil); !errors.Is(err, logservice.ErrBlobNotFound) {
			t.Errorf("the deleted blob: %v", err)
		}
		put(t, s, storetest.ID("acc", "new"), storetest.Noise(chunkSize))
		if err := s.Delete(t.Context(), storetest.ID("acc", "new")); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return lost
}

// usedPages are the pages that the catalog at path uses.
func usedPages(t *testing.T, path string) []int64 {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	return pagesOf(t, tx, func(kind string) bool { return kind != "free" })
}

func TestADamagedChunkIsNamedAndNotServed(t *testing.T) {
	path := dataFile(t)
	content := storetest.Noise(3 * chunkSize)
	s := openStore(t, path)
	put(t, s, crashID, content)
	put(t, s, storetest.ID("acc", "neighbour"), content)
	name := s.blobFile(1)
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(file, content[chunkSize+1000:chunkSize+1064])
	file[at] ^= 1
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := s.Get(t.Context(), crashID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	r, err := b.Range(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if !errors.Is(err, logs.ErrDamaged) || errors.Is(err, logservice.ErrUnavailable) || !bytes.Equal(got, content[:chunkSize]) {
		t.Fatalf("read %d bytes, %v; want the first chunk and ErrDamaged", len(got), err)
	}
	for _, part := range []string{string(crashID.Key), crashID.Account, "chunk 1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %q: %v", part, err)
		}
	}
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, storetest.ID("acc", "neighbour"), content)
	// Storing it again is the remedy.
	put(t, s, crashID, content)
	mustHold(t, s, crashID, content)
}

func TestADamagedRecordIsNotServed(t *testing.T) {
	path := dataFile(t)
	content := storetest.Noise(2000)
	s := openStore(t, path)
	put(t, s, crashID, content)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file[bytes.LastIndex(file, content[:64])+900] ^= 4 // the bytes of a small blob are in its record
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	if _, err := s.Get(t.Context(), crashID); !errors.Is(err, logs.ErrDamaged) || !strings.Contains(err.Error(), string(crashID.Key)) {
		t.Errorf("Get: %v, want logs.ErrDamaged and the key", err)
	}
	put(t, s, storetest.ID("acc", "other"), content)
	var listed []string
	for entry, err := range s.List(t.Context(), "acc", "") {
		listed = append(listed, fmt.Sprint(entry.Key, " ", errors.Is(err, logs.ErrDamaged)))
	}
	if got := strings.Join(listed, ", "); got != "build/log true, other false" {
		t.Errorf("List = %s", got)
	}
	if err := s.Delete(t.Context(), crashID); err != nil {
		t.Errorf("Delete: %v", err)
	}
}

func TestWhatIsNoDataFileIsRefusedWithAReason(t *testing.T) {
	write := func(content []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, content, 0o600) }
	}
	withBolt := func(fn func(*bbolt.Tx) error) func(string) error {
		return func(path string) error {
			db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pageSize})
			if err != nil {
				return err
			}
			return errors.Join(db.Update(fn), db.Close())
		}
	}
	for name, c := range map[string]struct {
		prepare func(string) error
		want    string
	}{
		"a text file":       {write([]byte(strings.Repeat("hello\n", 5000))), "not a catalog"},
		"zeros":             {write(make([]byte, 1<<20)), "not a catalog"},
		"a folder":          {func(p string) error { return os.Mkdir(p, 0o700) }, "is not a file"},
		"another bolt file": {withBolt(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("x")); return err }), "another program"},
		"a later layout":    {withBolt(func(tx *bbolt.Tx) error { return putSchema(tx, schema+1) }), "layout 3, this program knows 2"},
	} {
		path := filepath.Join(t.TempDir(), "blobs.db")
		if err := c.prepare(path); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: opens", name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q and the file's name", name, err, c.want)
		}
	}
}

func putSchema(tx *bbolt.Tx, v uint32) error {
	b, err := tx.CreateBucket(bucketAbout)
	if err != nil {
		return err
	}
	return b.Put(keySchema, binary.BigEndian.AppendUint32(nil, v))
}

func TestAFileInUseIsRefused(t *testing.T) {
	path := dataFile(t)
	s := openStore(t, path)
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), path) {
		t.Errorf("second Open: %v", err)
	}
	put(t, s, crashID, []byte("still works"))
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s: %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

func TestCallsAfterCloseAreUnavailable(t *testing.T) {
	s := openStore(t, dataFile(t))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, get := s.Get(t.Context(), crashID)
	var listed error
	for _, err := range s.List(t.Context(), "acc", "") {
		listed = err
	}
	for _, err := range []error{
		get, listed, s.Delete(t.Context(), crashID),
		s.Put(t.Context(), crashID, strings.NewReader("x"), logs.BlobInfo{}),
		s.Put(t.Context(), crashID, bytes.NewReader(storetest.Noise(9<<20)), logs.BlobInfo{}),
	} {
		if !errors.Is(err, logservice.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	}
}
