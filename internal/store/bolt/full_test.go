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

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/store/storetest"
)

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

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}

// fillUp stores blobs of one size until the volume is full, and then takes
// the last bytes of it, as a neighbour on the volume would.
func fillUp(t *testing.T, s *Store, dir string, size int) (n int) {
	t.Helper()
	content := storetest.Noise(size)
	store := func(i int) error {
		return s.Put(t.Context(), filler(i), bytes.NewReader(content), logs.BlobInfo{Archive: true})
	}
	// While they fit easily, many at a time, which share commits.
	for most := 100; most >= 100; n += most {
		most = int(max(freeBytes(t, dir)-12<<20, 0)) / (2 * size)
		together(t, most, func(i int) error { return store(n + i) })
	}
	for {
		err := store(n)
		if err == nil {
			n++
			continue
		}
		if !errors.Is(err, logservice.ErrUnavailable) || !isFull(err) {
			t.Fatalf("a blob that does not fit: %v, want ErrUnavailable and that the disk is full", err)
		}
		break
	}
	neighbour, err := system{}.Create(filepath.Join(dir, "neighbour"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = neighbour.Close() }()
	for b := make([]byte, 4096); err == nil; {
		_, err = neighbour.Write(b)
	}
	if !isFull(err) {
		t.Fatal(err)
	}
	return n
}

func filler(i int) logservice.ID { return storetest.ID("acc", fmt.Sprintf("fill/%05d", i)) }

// together calls f for 0 to n-1, some at a time.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var calls errgroup.Group
	calls.SetLimit(16)
	for i := range n {
		calls.Go(func() error { return f(i) })
	}
	if err := calls.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestAFullVolumeTakesDeletionsAndThenWritesAgainWithoutARestart(t *testing.T) {
	for name, size := range map[string]int{"small blobs": 6000, "large blobs": 900 << 10} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", name, restart), func(t *testing.T) {
				dir := proctest.SmallVolume(t, "40m")
				open := func() *Store {
					s, err := Open(filepath.Join(dir, "blobs.db"), Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond})
					if err != nil {
						t.Fatal(err)
					}
					return s
				}
				s := open()
				await(t, "reserve", s.reserved.Load)
				n := fillUp(t, s, dir, size)
				await(t, "report that the disk is full", func() bool { return isFull(s.Check(t.Context())) })
				if restart {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = open()
				}
				defer func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}()
				if err := s.Put(t.Context(), storetest.ID("acc", "large"), bytes.NewReader(storetest.Noise(8<<20)), logs.BlobInfo{}); !errors.Is(err, logservice.ErrUnavailable) {
					t.Fatalf("a blob larger than what is free: %v, want ErrUnavailable", err)
				}
				content := storetest.Noise(size)
				for i := range n {
					mustHold(t, s, filler(i), content)
				}
				deleteFillers(t, s, n)
				if err := untilHealthy(s); err != nil {
					t.Fatalf("not healthy after all is deleted: %v", err)
				}
				await(t, "free space", func() bool { return freeBytes(t, dir) > 25<<20 })
				t.Logf("%d blobs of %d bytes stored and deleted, %d MiB free again", n, size, freeBytes(t, dir)>>20)
				put(t, s, storetest.ID("acc", "next"), storetest.Noise(8<<20))
				mustHold(t, s, storetest.ID("acc", "next"), storetest.Noise(8<<20))
			})
		}
	}
}

// TestDeletingOnAFullDiskUsesTheReserve takes from the catalog all free
// pages that have blocks on the disk.
func TestDeletingOnAFullDiskUsesTheReserve(t *testing.T) {
	dir := proctest.SmallVolume(t, "40m")
	s, err := Open(filepath.Join(dir, "blobs.db"), Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	await(t, "reserve", s.reserved.Load)
	storeMany(t, s, 2500, 6000)
	n := fillUp(t, s, dir, 900<<10)
	if _, err := s.expireAll(t, "many/"); err != nil {
		t.Fatal(err)
	}
	await(t, "holes in the catalog", func() bool { return freeBytes(t, dir) > 10<<20 })
	if err := (system{}).Remove(filepath.Join(dir, "neighbour")); err != nil {
		t.Fatal(err)
	}
	await(t, "reserve", func() bool { return s.reserved.Load() && s.Check(t.Context()) == nil })
	n = max(n, fillUp(t, s, dir, 900<<10))
	deleteFillers(t, s, n)
}

// deleteFillers deletes on a full disk: first one by one, then more at a time.
func deleteFillers(t *testing.T, s *Store, n int) {
	t.Helper()
	remove := func(i int) error {
		if err := s.Delete(t.Context(), filler(i)); err != nil {
			return fmt.Errorf("deletion %d of %d on a full disk: %w", i, n, err)
		}
		return nil
	}
	alone := min(n, 500)
	for i := range alone {
		if err := remove(i); err != nil {
			t.Fatal(err)
		}
	}
	together(t, n-alone, func(i int) error { return remove(alone + i) })
}

// TestALittleSpaceOnAFullVolumeIsNoticedWithoutAWrite leaves space for a log, but
// not for a second reserve.
func TestALittleSpaceOnAFullVolumeIsNoticedWithoutAWrite(t *testing.T) {
	for _, restart := range []bool{false, true} {
		dir := proctest.SmallVolume(t, "40m")
		open := func() *Store {
			s, err := Open(filepath.Join(dir, "blobs.db"), Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open()
		await(t, "reserve", s.reserved.Load)
		fillUp(t, s, dir, 900<<10)
		if restart {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
			await(t, "report of the full disk", func() bool { return isFull(s.Check(t.Context())) })
			if !s.reserved.Load() {
				t.Error("the reserve is not kept by a restart")
			}
		}
		put := func() error {
			return s.Put(t.Context(), storetest.ID("acc", "next"), bytes.NewReader(storetest.Noise(900<<10)), logs.BlobInfo{Archive: true})
		}
		if err := put(); !isFull(err) {
			t.Fatalf("on a full disk: %v", err)
		}
		if err := os.Truncate(filepath.Join(dir, "neighbour"), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.disk.Remove(s.blobFile(1)); err != nil {
			t.Fatal(err)
		}
		if err := s.disk.Remove(s.blobFile(2)); err != nil {
			t.Fatal(err)
		}
		if free := freeBytes(t, dir); free < probeSize || free >= reserveSize {
			t.Fatalf("%d bytes are free: it proves nothing", free)
		}
		if err := untilHealthy(s); err != nil {
			t.Fatalf("with space again: %v", err)
		}
		if err := put(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRetentionGivesTheDiskBack(t *testing.T) {
	s := openStore(t, diskFile(t))
	dir := filepath.Dir(s.path)
	storeMany(t, s, 3000, 6000)
	full := onDisk(t, dir)
	if n, err := s.Expire(t.Context(), time.Now()); n != 3000 || err != nil {
		t.Fatal(n, err)
	}
	await(t, "less on the disk", func() bool { return onDisk(t, dir) < full/4 })
	t.Logf("%d MiB on the disk before, %d MiB after", full>>20, onDisk(t, dir)>>20)
	storeMany(t, s, 100, 6000)
	for i := range 100 {
		mustHold(t, s, storetest.ID("acc", fmt.Sprintf("many/%05d", i)), storetest.Noise(6000))
	}
}

// expireAll deletes all blobs below a prefix.
func (s *Store) expireAll(t *testing.T, prefix string) (n int, err error) {
	for e, err := range s.List(t.Context(), "acc", logservice.Key(strings.TrimSuffix(prefix, "/"))) {
		if err == nil {
			err = s.Delete(t.Context(), storetest.ID("acc", string(e.Key)))
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func storeMany(t *testing.T, s *Store, n, size int) {
	t.Helper()
	content := storetest.Noise(size)
	together(t, n, func(i int) error {
		return s.Put(t.Context(), storetest.ID("acc", fmt.Sprintf("many/%05d", i)), bytes.NewReader(content), logs.BlobInfo{Archive: true})
	})
}
