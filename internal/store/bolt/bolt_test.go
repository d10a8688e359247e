package bolt

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	defer goleak.VerifyNone(t)
	storetest.Run(t, func(t *testing.T) logs.Store { return openStore(t, dataFile(t)) }, storetest.Limits{})
}

func dataFile(t testing.TB) string { return filepath.Join(t.TempDir(), "data", "blobs.db") }

// openStore opens a store that the test's end closes.
func openStore(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t testing.TB, s *Store, id logservice.ID, content []byte) {
	t.Helper()
	if err := s.Put(t.Context(), id, bytes.NewReader(content), logs.BlobInfo{}); err != nil {
		t.Fatal(err)
	}
}

// awaitSwept waits until nothing in the file is marked as garbage.
func awaitSwept(t *testing.T, s *Store) {
	t.Helper()
	for t.Context().Err() == nil {
		left := 0
		if err := s.view(func(tx *bbolt.Tx) error { left = tx.Bucket(bucketGarbage).Stats().KeyN; return nil }); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
		nudge(t, s)
	}
}

// nudge passes through the writer's queue.
func nudge(t *testing.T, s *Store) {
	t.Helper()
	if err := s.submit(t.Context(), 0, func(*bbolt.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
}
