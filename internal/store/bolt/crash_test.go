//go:build linux

package bolt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"syscall"
	"testing"

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

func TestKillDuringAnUploadLeavesTheOldBlobAndNoFile(t *testing.T) {
	path := diskFile(t)
	old := storetest.Text(3*chunkSize + 5)
	s := openStore(t, path)
	put(t, s, crashID, old)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		cmd, out := child(t, "upload forever", path)
		for range 3 {
			if !out.Scan() {
				t.Fatal("the child ended on its own")
			}
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if n := len(fileNames(t, path)); n != 2 {
			t.Fatalf("the kill left %d files, not that of the old blob and its own: it proves nothing", n)
		}
		s := openStore(t, path)
		mustHold(t, s, crashID, old)
		awaitFiles(t, path, 1)
		put(t, s, storetest.ID("acc", "next"), storetest.Noise(chunkSize+1))
		mustHold(t, s, storetest.ID("acc", "next"), storetest.Noise(chunkSize+1))
		if err := s.Delete(t.Context(), storetest.ID("acc", "next")); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFileOfADeletedBlobGoesAtOnceAndItsReadersReadOn(t *testing.T) {
	path := diskFile(t)
	s := openStore(t, path)
	old, next := storetest.Noise(100*chunkSize), storetest.Noise(2*chunkSize)
	put(t, s, crashID, old)
	b, err := s.Get(t.Context(), crashID)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Range(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, crashID, next)
	if n := len(fileNames(t, path)); n != 1 {
		t.Errorf("%d files after a replacement", n)
	}
	if err := s.Delete(t.Context(), crashID); err != nil {
		t.Fatal(err)
	}
	if n := len(fileNames(t, path)); n != 0 {
		t.Errorf("%d files after the deletion", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, old) {
		t.Errorf("the reader got %d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestASlowReaderBlocksNoWriter(t *testing.T) {
	s := openStore(t, dataFile(t))
	put(t, s, crashID, storetest.Noise(2000))
	for range s.List(t.Context(), "acc", "") { // a listing that pauses
		// A transaction that it held open would keep the catalog growing, as
		// pages freed since its beginning could not be used again.
		for range 300 {
			put(t, s, storetest.ID("acc", "other"), storetest.Noise(8000))
		}
		break
	}
	if err := s.view(func(tx *txn) error {
		if most := int64(40 * pageSize); tx.Size() > most {
			return fmt.Errorf("the catalog has grown to %d bytes, over %d", tx.Size(), most)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
