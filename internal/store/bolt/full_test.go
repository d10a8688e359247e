//go:build linux

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

// childFillsUp stores blobs until there is no room, and tries what must go on
// then. args: file, and how room is limited.
func childFillsUp(args []string) error {
	if args[1] == "limit" {
		limit := unix.Rlimit{Cur: 24 << 20, Max: 24 << 20}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
	}
	s, err := Open(args[0], Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx := context.Background()
	old := storetest.Noise(3 * chunkSize)
	store := func(key string, content []byte) error {
		return s.Put(ctx, storetest.ID("acc", key), bytes.NewReader(content), logs.BlobInfo{})
	}
	if err := store("old", old); err != nil {
		return err
	}
	for range 3 {
		err = store("old", storetest.Noise(40<<20))
		if !errors.Is(err, logservice.ErrUnavailable) {
			return fmt.Errorf("a blob larger than the room: %w, want ErrUnavailable", err)
		}
	}
	fmt.Println("refused:", err)
	if err := holds(ctx, s, "old", old); err != nil {
		return err
	}
	// The room of the broken upload comes back by itself.
	started := time.Now()
	for err = errors.New("not tried"); err != nil && time.Since(started) < 20*time.Second; {
		err = store("new", storetest.Noise(8<<20))
	}
	fmt.Println("stored again after", time.Since(started).Round(time.Millisecond))
	if err != nil {
		return fmt.Errorf("no room again: %w", err)
	}
	if err := errors.Join(holds(ctx, s, "old", old), holds(ctx, s, "new", storetest.Noise(8<<20))); err != nil {
		return err
	}
	if err := s.Delete(ctx, storetest.ID("acc", "old")); err != nil {
		return err
	}
	return s.Close()
}

func holds(ctx context.Context, s *Store, key string, want []byte) error {
	b, err := s.Get(ctx, storetest.ID("acc", key))
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	r, err := b.Range(ctx, 0, -1)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	var got bytes.Buffer
	if _, err := got.ReadFrom(r); err != nil {
		return err
	}
	if !bytes.Equal(got.Bytes(), want) {
		return fmt.Errorf("%s holds %d bytes, want %d or other bytes", key, got.Len(), len(want))
	}
	return nil
}

func TestAFileAtItsLimitKeepsOldBlobsAndTakesNewOnesWhenThereIsRoom(t *testing.T) {
	path := dataFile(t)
	t.Log(childOutput(t, "fill up", path, "limit"))
	s := openStore(t, path)
	mustHold(t, s, storetest.ID("acc", "new"), storetest.Noise(8<<20))
}

func TestAFullDiskKeepsOldBlobsAndTakesNewOnesWhenThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("SKIPPED: no small file system can be mounted here (%v); the test of a file at its limit stands in", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "blobs.db")
	out := childOutput(t, "fill up", path, "disk")
	t.Log(out)
	if !strings.Contains(out, unix.ENOSPC.Error()) {
		t.Errorf("the error does not say that the disk is full: %s", out)
	}
	if !strings.Contains(out, "kept for deletions") {
		t.Errorf("the upload was not stopped before the room for its removal was gone: %s", out)
	}
	s := openStore(t, path)
	mustHold(t, s, storetest.ID("acc", "new"), storetest.Noise(8<<20))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
