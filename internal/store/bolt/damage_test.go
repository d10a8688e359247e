//go:build linux

package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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

func sampleFile(t *testing.T) []byte {
	t.Helper()
	path := dataFile(t)
	s := openStore(t, path)
	for key, content := range sample() {
		put(t, s, storetest.ID("acc", key), content)
	}
	put(t, s, storetest.ID("acc", "gone"), storetest.Noise(chunkSize))
	if err := s.Delete(t.Context(), storetest.ID("acc", "gone")); err != nil {
		t.Fatal(err)
	}
	awaitSwept(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Cut the room that bbolt takes ahead, so that a sampled flip hits data.
	h, err := readHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[:h.pages*pageSize]
}

// useAll opens a file, reads all of it and writes to it. It fails only where
// wrong bytes are served; a refusal is fine, and counted.
func useAll(ctx context.Context, path string) (refused int, err error) {
	s, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "in use") {
			return 0, fmt.Errorf("the error does not name the file, or is about the lock: %w", err)
		}
		return 1, nil
	}
	defer func() {
		// Also after a panic in bbolt, the file is free for the next.
		if closing := s.Close(); closing != nil && err == nil {
			err = closing
		}
	}()
	want := sample()
	check := func() error {
		for key, content := range want {
			switch err := holds(ctx, s, key, content); {
			case err == nil:
			case strings.Contains(err.Error(), "other bytes"):
				return err
			default:
				refused++
			}
		}
		return nil
	}
	if err := check(); err != nil {
		return refused, err
	}
	for entry, err := range s.List(ctx, "acc", "") {
		if err != nil {
			refused++
		} else if content, ok := want[string(entry.Key)]; !ok || entry.Info.Size != int64(len(content)) {
			return refused, fmt.Errorf("listed %q of %d bytes", entry.Key, entry.Info.Size)
		}
	}
	id := storetest.ID("acc", "small/20")
	want["small/20"] = storetest.Noise(chunkSize + 9)
	if err := s.Put(ctx, id, bytes.NewReader(want["small/20"]), logs.BlobInfo{}); err != nil {
		refused++
		delete(want, "small/20")
	}
	if err := s.Delete(ctx, storetest.ID("acc", "big/log")); err != nil {
		refused++
	}
	delete(want, "big/log")
	return refused, check()
}

// childReadsAll uses files that the parent damaged: args are the folder of
// the copy, then seed and count of the flips. A crash ends the child.
func childReadsAll(args []string) error {
	good, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	seed, _ := strconv.ParseUint(args[1], 10, 64)
	count, _ := strconv.Atoi(args[2])
	rng := rand.New(rand.NewPCG(seed, 0))
	path := args[0] + ".damaged"
	noticed := 0
	for i := range count {
		bad := bytes.Clone(good)
		at := rng.IntN(len(bad))
		if i%2 == 0 { // half of them where bbolt keeps its structure
			at = rng.IntN(len(bad)/pageSize)*pageSize + rng.IntN(96)
		}
		bit := byte(1) << rng.IntN(8)
		bad[at] ^= bit
		fmt.Printf("flip %#x at %d\n", bit, at)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			return err
		}
		refused, err := useAll(context.Background(), path)
		if err != nil {
			return fmt.Errorf("bit %#x at %d: %w", bit, at, err)
		}
		if refused > 0 {
			noticed++
		}
	}
	fmt.Println("noticed:", noticed)
	return nil
}

func TestFlippedBitsNeverPanicAndNeverServeWrongBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "good")
	if err := os.WriteFile(path, sampleFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	count := 150
	if os.Getenv(longVariable) != "" {
		count = 5000
	}
	if raceEnabled {
		count = 30
	}
	out := childOutput(t, "read all", path, "1", fmt.Sprint(count))
	last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	t.Logf("of %d flips %s", count, last)
	if strings.TrimSpace(last) == "noticed: 0" {
		t.Error("no flip was noticed: the test proves nothing")
	}
}

func TestTruncatedFilesAreRefused(t *testing.T) {
	good := sampleFile(t)
	path := filepath.Join(t.TempDir(), "blobs.db")
	for _, size := range []int{1, 100, pageSize - 1, pageSize, 2 * pageSize, 3*pageSize + 7, len(good) / 2, len(good) - pageSize, len(good) - 1} {
		if err := os.WriteFile(path, good[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{})
		if err == nil {
			_ = s.Close()
			t.Errorf("a file cut to %d of %d bytes opens", size, len(good))
			continue
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("cut to %d bytes: the error names no file or no way out: %v", size, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(size) {
			t.Errorf("the refused file was changed")
		}
	}
}

func TestADamagedChunkIsNamedAndNotServed(t *testing.T) {
	path := dataFile(t)
	content := storetest.Noise(3 * chunkSize)
	s := openStore(t, path)
	put(t, s, crashID, content)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(file, content[chunkSize+1000:chunkSize+1064])
	file[at] ^= 1
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
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
	if !errors.Is(err, ErrDamaged) || !bytes.Equal(got, content[:chunkSize]) {
		t.Fatalf("read %d bytes, %v; want the first chunk and ErrDamaged", len(got), err)
	}
	for _, part := range []string{path, string(crashID.Key), crashID.Account, "chunk 1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %q: %v", part, err)
		}
	}
	if err := errors.Join(r.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	// Deleting and storing anew is the way out.
	put(t, s, crashID, content)
	mustHold(t, s, crashID, content)
	awaitSwept(t, s)
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
	if _, err := s.Get(t.Context(), crashID); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), string(crashID.Key)) {
		t.Errorf("Get: %v, want ErrDamaged and the key", err)
	}
	put(t, s, storetest.ID("acc", "other"), content)
	var listed []string
	for entry, err := range s.List(t.Context(), "acc", "") {
		listed = append(listed, fmt.Sprint(entry.Key, " ", errors.Is(err, ErrDamaged)))
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
		"an empty file":      {write(nil), "is empty"},
		"a text file":        {write([]byte(strings.Repeat("hello\n", 5000))), "not a blob file"},
		"zeros":              {write(make([]byte, 1<<20)), "not a blob file"},
		"a folder":           {func(p string) error { return os.Mkdir(p, 0o700) }, "is not a file"},
		"another bolt file":  {withBolt(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("x")); return err }), "another program"},
		"a later layout":     {withBolt(func(tx *bbolt.Tx) error { return putSchema(tx, schema+1) }), "layout 2, this program knows 1"},
		"a layout with gaps": {withBolt(func(tx *bbolt.Tx) error { return putSchema(tx, schema) }), "no bucket"},
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
