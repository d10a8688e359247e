package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/store/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	defer goleak.VerifyNone(t)
	storetest.Run(t, func(t *testing.T) logs.Store { return openStore(t, dataFile(t)) }, storetest.Limits{})
}

// dataFile is the name of a catalog in memory, for tests that sync a lot. Tests of the
// volume and of whole processes use a disk.
func dataFile(t testing.TB) string { return filepath.Join(proctest.MemoryDir(t), "data", "blobs.db") }

// diskFile is the name of a catalog on a disk.
func diskFile(t testing.TB) string { return filepath.Join(t.TempDir(), "data", "blobs.db") }

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

// untilHealthy waits until Check finds nothing wrong.
func untilHealthy(s *Store) error {
	err := s.Check(context.Background())
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); err = s.Check(context.Background()) {
		<-tick.C
	}
	return err
}

func mustHold(t testing.TB, s *Store, id logservice.ID, want []byte) {
	t.Helper()
	var got bytes.Buffer
	download(t, s, id, &got)
	if !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%v holds %d bytes, want %d or other bytes", id, got.Len(), len(want))
	}
}

// fileNames are the names of the blob files of the store at path.
func fileNames(t testing.TB, path string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(strings.TrimSuffix(path, ".db"), "*"+blobName))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// awaitFiles waits until there are n blob files.
func awaitFiles(t *testing.T, path string, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d blob files", n), func() bool { return len(fileNames(t, path)) == n })
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no %s within a minute", what)
		}
	}
}

// TestABlobFileIsReadByZstd: docs/storage.md says so.
func TestABlobFileIsReadByZstd(t *testing.T) {
	s := openStore(t, dataFile(t))
	for _, content := range [][]byte{storetest.Text(2*chunkSize + 5), storetest.Noise(chunkSize + 5)} {
		put(t, s, storetest.ID("acc", "log"), content)
		f, err := os.Open(fileNames(t, s.path)[0])
		if err != nil {
			t.Fatal(err)
		}
		z, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(z)
		z.Close()
		if err = errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(content))
		}
	}
}
