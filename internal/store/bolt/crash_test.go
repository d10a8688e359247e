//go:build linux

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

var crashID = storetest.ID("acc", "build/log")

// childUploads replaces the blob of crashID by one that never ends.
func childUploads(args []string) error {
	s, err := Open(args[0], Options{})
	if err != nil {
		return err
	}
	r := &noteReader{r: &repeatReader{part: storetest.Noise(1 << 20), n: math.MaxInt64}, step: 1 << 20}
	return s.Put(context.Background(), crashID, r, logs.BlobInfo{})
}

func TestKillDuringAnUploadLeavesTheOldBlobAndNoChunks(t *testing.T) {
	path := dataFile(t)
	old := storetest.Text(3*chunkSize + 5)
	s := openStore(t, path)
	put(t, s, crashID, old)
	used := s.usedPages(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		cmd, out := child(t, "upload for ever", path)
		// Past three groups at least one has been committed: the next begins
		// only when the one before the last is durable.
		for range 3*maxBatchBytes>>20 + 2 {
			if !out.Scan() {
				t.Fatal("the child ended by itself")
			}
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()

		raw := rawChunks(t, path)
		if raw <= 4 {
			t.Fatalf("the kill left %d chunks: it proves nothing", raw)
		}
		s := openStore(t, path)
		mustHold(t, s, crashID, old)
		awaitSwept(t, s)
		if n := countChunks(t, s); n != 4 {
			t.Fatalf("%d chunks in the file, want the 4 of the old blob", n)
		}
		if n := s.usedPages(t); n > used+8 {
			t.Fatalf("%d pages in use, %d before the crash", n, used)
		}
		put(t, s, storetest.ID("acc", "next"), storetest.Noise(chunkSize+1))
		mustHold(t, s, storetest.ID("acc", "next"), storetest.Noise(chunkSize+1))
		if err := s.Delete(t.Context(), storetest.ID("acc", "next")); err != nil {
			t.Fatal(err)
		}
		awaitSwept(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChunksGoWhenTheLastReaderOfADeletedBlobCloses(t *testing.T) {
	path := dataFile(t)
	s := openStore(t, path)
	put(t, s, crashID, storetest.Noise(100*chunkSize)) // more than one sweep
	b, err := s.Get(t.Context(), crashID)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Range(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, crashID, storetest.Noise(2*chunkSize))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	// Something else is deleted and swept; the open range keeps its chunks.
	put(t, s, storetest.ID("acc", "b"), storetest.Noise(chunkSize))
	if err := s.Delete(t.Context(), storetest.ID("acc", "b")); err != nil {
		t.Fatal(err)
	}
	awaitChunks(t, s, 102)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	awaitChunks(t, s, 2)
	awaitSwept(t, s)
}

func TestReadersLeftOpenAtTheEndOfAProcessDoNotKeepChunks(t *testing.T) {
	path := dataFile(t)
	s := openStore(t, path)
	put(t, s, crashID, storetest.Noise(5*chunkSize))
	b, err := s.Get(t.Context(), crashID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), crashID); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := b.Range(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, logservice.ErrUnavailable) {
		t.Errorf("Read after the store's Close: %v, want ErrUnavailable", err)
	}
	again := openStore(t, path)
	awaitChunks(t, again, 0)
	awaitSwept(t, again)
}

func TestASlowReaderBlocksNoWriter(t *testing.T) {
	s := openStore(t, dataFile(t))
	put(t, s, crashID, storetest.Noise(20*chunkSize))
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
	if _, err := r.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	const rounds, chunks = 30, 4
	for range s.List(t.Context(), "acc", "") { // and one listing that stands
		// A transaction held open by either would keep the file growing, as
		// pages freed since its beginning could not be used again.
		for range rounds {
			put(t, s, storetest.ID("acc", "other"), storetest.Noise(chunks*chunkSize))
			awaitSwept(t, s)
		}
		break
	}
	if err := s.view(func(tx *bbolt.Tx) error {
		// When pages are used again depends on how the sweeps fall between the
		// puts: four to five rounds are on disk at once. All would be if none were.
		if most := int64(20+rounds*chunks/2) * chunkSize; tx.Size() > most {
			return fmt.Errorf("the file has grown to %d bytes, over %d", tx.Size(), most)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func mustHold(t testing.TB, s *Store, id logservice.ID, want []byte) {
	t.Helper()
	var got bytes.Buffer
	download(t, s, id, &got)
	if !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%v holds %d bytes, want %d or other bytes", id, got.Len(), len(want))
	}
}

// rawChunks counts the chunks of a file that no store has open.
func rawChunks(t *testing.T, path string) (n int) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.View(func(tx *bbolt.Tx) error { n = tx.Bucket(bucketChunks).Stats().KeyN; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func countChunks(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.view(func(tx *bbolt.Tx) error { n = tx.Bucket(bucketChunks).Stats().KeyN; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// awaitChunks waits until the file holds n chunks. Each round is a
// transaction of its own, which queues behind those of the sweeper.
func awaitChunks(t *testing.T, s *Store, n int) {
	t.Helper()
	for t.Context().Err() == nil {
		if countChunks(t, s) == n {
			return
		}
		nudge(t, s)
	}
}
