package bolt

import (
	"log/slog"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

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
