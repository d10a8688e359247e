//go:build linux

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/store/storetest"
)

// use opens a store, reads all of it, writes to it, and reads all again, also
// after a restart. It fails where wrong bytes are served, where a deleted blob is
// back, or where the store does not recover on its own. It returns the blobs
// that are damaged or lost.
type use struct {
	s    *Store
	want map[string][]byte
	lost map[string]bool
}

func useAll(ctx context.Context, path string) (lost map[string]bool, err error) {
	u := &use{want: sample(), lost: make(map[string]bool)}
	for _, steps := range [][]func(context.Context) error{{u.readAll, u.write, u.readAll}, {u.readAll}} {
		if u.s, err = Open(path, Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond}); err != nil {
			return nil, err
		}
		for _, step := range steps {
			if err == nil {
				err = step(ctx)
			}
		}
		// Also after a panic in bbolt, the catalog is free for the next.
		if err = errors.Join(err, u.s.Close()); err != nil {
			return nil, err
		}
	}
	return u.lost, nil
}

// retry repeats a call that meets damage of the catalog, which is then rebuilt.
func (u *use) retry(call func() error) error {
	for range 3 {
		if err := call(); !errors.Is(err, logservice.ErrUnavailable) {
			return err
		}
		if err := untilHealthy(u.s); err != nil {
			return err
		}
	}
	return errors.New("unavailable again and again")
}

func (u *use) readAll(ctx context.Context) error {
	for key, content := range u.want {
		err := u.retry(func() error { return holds(ctx, u.s, key, content) })
		if errors.Is(err, logs.ErrDamaged) || errors.Is(err, logservice.ErrBlobNotFound) {
			u.lost[key] = true
		} else if err != nil {
			return err
		}
	}
	for _, key := range []string{"gone", "big/log"} {
		if u.want[key] != nil {
			continue
		}
		if err := u.retry(func() error { return holds(ctx, u.s, key, nil) }); !errors.Is(err, logservice.ErrBlobNotFound) {
			return fmt.Errorf("deleted %q: %v", key, err)
		}
	}
	return u.retry(func() error {
		listed := make(map[string]bool)
		for entry, err := range u.s.List(ctx, "acc", "") {
			content, ok := u.want[string(entry.Key)]
			switch {
			case errors.Is(err, logs.ErrDamaged):
			case err != nil:
				return err
			case !ok || entry.Info.Size != int64(len(content)):
				return fmt.Errorf("listed %q of %d bytes", entry.Key, entry.Info.Size)
			}
			listed[string(entry.Key)] = true
		}
		for key := range u.want {
			if listed[key] || u.lost[key] {
				continue
			}
			// A rebuild since it was read may have lost it.
			switch err := holds(ctx, u.s, key, u.want[key]); {
			case errors.Is(err, logs.ErrDamaged), errors.Is(err, logservice.ErrBlobNotFound):
				u.lost[key] = true
			case errors.Is(err, logservice.ErrUnavailable):
				return err
			default:
				return fmt.Errorf("%q is not listed: %v", key, err)
			}
		}
		return nil
	})
}

func (u *use) write(ctx context.Context) error {
	err := u.retry(func() error {
		_, err := u.s.Expire(ctx, time.Time{})
		return err
	})
	if err != nil {
		return err
	}
	err = u.retry(func() error {
		return u.s.Put(ctx, storetest.ID("acc", "small/20"), bytes.NewReader(u.want["small/20"]), logs.BlobInfo{})
	})
	if err == nil {
		err = u.retry(func() error { return u.s.Delete(ctx, storetest.ID("acc", "big/log")) })
	}
	if err == nil || errors.Is(err, logservice.ErrBlobNotFound) {
		delete(u.want, "big/log")
		return nil
	}
	return err
}

// childReadsAll uses stores whose catalog or blob file is damaged: args are
// the folder of a good one, then seed and count of the flips. A crash ends the
// child.
func childReadsAll(args []string) error {
	seed, _ := strconv.ParseUint(args[1], 10, 64)
	count, _ := strconv.Atoi(args[2])
	rng := rand.New(rand.NewPCG(seed, 0))
	on, err := blobsOnPages(filepath.Join(args[0], "blobs.db"))
	if err != nil {
		return err
	}
	noticed, total := 0, 0
	for i := range count {
		dir := args[0] + ".damaged"
		if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(args[0]))); err != nil {
			return err
		}
		path := filepath.Join(dir, "blobs.db")
		name, page, what, err := flip(path, rng, i)
		if err != nil {
			return err
		}
		lost, err := useAll(context.Background(), path)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		for key := range lost {
			there := on[page]["acc\x00"+key]
			if name != path {
				there = strings.HasPrefix(key, "big/")
			}
			if !there {
				return fmt.Errorf("%s: %q is lost, which was elsewhere", what, key)
			}
		}
		if total += len(lost); len(lost) > 0 {
			noticed++
		}
	}
	fmt.Println(count, "flips,", count*len(sample()), "blobs: wrong 0, deleted ones back 0, lost elsewhere 0, on the damaged page", total, "by", noticed, "flips")
	return nil
}

// blobsOnPages returns which blobs have their record on which page.
func blobsOnPages(path string) (on map[int64]map[string]bool, err error) {
	h, err := openBolt(path, true)
	if err != nil {
		return nil, err
	}
	on = make(map[int64]map[string]bool)
	err = h.db.View(func(tx *bbolt.Tx) error {
		t := treeOf(tx, h.file)
		for next := []byte{}; next != nil; {
			var leaf page
			if leaf, next, err = t.find(int64(tx.Bucket(bucketBlobs).Root()), next, false); err != nil {
				return err
			}
			keys := make(map[string]bool)
			for i := range leaf.count {
				e, _ := leaf.entry(i)
				keys[string(e.key)] = true
			}
			for n := range int64(len(leaf.b) / pageSize) {
				on[leaf.id+n] = keys
			}
		}
		return nil
	})
	return on, errors.Join(err, h.db.Close())
}

// flip flips a bit: of three, two in the catalog, one of which where bbolt
// keeps its structure.
func flip(path string, rng *rand.Rand, i int) (name string, page int64, what string, err error) {
	if i%3 == 2 {
		names, _ := filepath.Glob(filepath.Join(strings.TrimSuffix(path, ".db"), "*"+blobName))
		path = names[rng.IntN(len(names))]
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", 0, "", err
	}
	at := rng.IntN(min(len(b), 60*pageSize))
	if i%3 == 0 {
		at = rng.IntN(min(len(b), 60*pageSize)/pageSize)*pageSize + rng.IntN(96)
	}
	bit := byte(1) << rng.IntN(8)
	b[at] ^= bit
	return path, int64(at / pageSize), fmt.Sprintf("%s: bit %#x at %d", filepath.Base(path), bit, at), os.WriteFile(path, b, 0o600)
}

func TestFlippedBitsNeverPanicNeverServeWrongBytesAndNeverStopTheStore(t *testing.T) {
	dir := filepath.Join(proctest.MemoryDir(t), "good")
	sampleFolder(t, filepath.Join(dir, "blobs.db"))
	count := 60
	if storetest.Long() {
		count = 3000
	}
	if raceEnabled {
		count = 30
	}
	out := childOutput(t, "read all", dir, "1", fmt.Sprint(count))
	last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	t.Log(strings.TrimSpace(last))
	if strings.Contains(last, "damaged page 0 by") {
		t.Error("no flip was noticed: the test proves nothing")
	}
}
