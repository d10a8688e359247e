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

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

// useAll opens a store, reads all of it and writes to it. It fails where wrong
// bytes are served, where a deleted blob is back, or where the store does not
// recover on its own; blobs that are reported as damaged or lost are counted.
func useAll(ctx context.Context, path string) (lost int, err error) {
	s, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond})
	if err != nil {
		return 0, err
	}
	defer func() {
		// Also after a panic in bbolt, the catalog is free for the next.
		if closing := s.Close(); closing != nil && err == nil {
			err = closing
		}
	}()
	if err := untilHealthy(s); err != nil {
		return 0, err
	}
	want := sample()
	check := func() error {
		// The first read that meets damaged pages has the catalog made anew.
		for range s.List(ctx, "acc", "") {
			break
		}
		if _, err := s.Expire(ctx, time.Time{}); err != nil {
			if err := untilHealthy(s); err != nil {
				return err
			}
		}
		for key, content := range want {
			switch err := holds(ctx, s, key, content); {
			case err == nil:
			case errors.Is(err, logs.ErrDamaged), errors.Is(err, logservice.ErrBlobNotFound):
				lost++
			default:
				return err
			}
		}
		return nil
	}
	if err := check(); err != nil {
		return lost, err
	}
	for entry, err := range s.List(ctx, "acc", "") {
		if err != nil {
			lost++
		} else if content, ok := want[string(entry.Key)]; !ok || entry.Info.Size != int64(len(content)) {
			return lost, fmt.Errorf("listed %q of %d bytes", entry.Key, entry.Info.Size)
		}
	}
	// Writes may meet the damage, which has the catalog made anew.
	for range 3 {
		err = s.Put(ctx, storetest.ID("acc", "small/20"), bytes.NewReader(want["small/20"]), logs.BlobInfo{})
		if err = errors.Join(err, s.Delete(ctx, storetest.ID("acc", "big/log"))); err == nil {
			break
		}
		if err := untilHealthy(s); err != nil {
			return lost, err
		}
	}
	if err != nil && !errors.Is(err, logs.ErrDamaged) {
		return lost, fmt.Errorf("no write after a recovery: %w", err)
	}
	if err == nil {
		delete(want, "big/log")
	}
	return lost, check()
}

// childReadsAll uses stores whose catalog or blob file is damaged: args are
// the folder of a good one, then seed and count of the flips. A crash ends the
// child.
func childReadsAll(args []string) error {
	seed, _ := strconv.ParseUint(args[1], 10, 64)
	count, _ := strconv.Atoi(args[2])
	rng := rand.New(rand.NewPCG(seed, 0))
	noticed, total := 0, 0
	for i := range count {
		dir := args[0] + ".damaged"
		if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(args[0]))); err != nil {
			return err
		}
		path := filepath.Join(dir, "blobs.db")
		what, err := flip(path, rng, i)
		if err != nil {
			return err
		}
		lost, err := useAll(context.Background(), path)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if total += lost; lost > 0 {
			noticed++
		}
	}
	fmt.Println("noticed:", noticed, "blobs not read:", total/3)
	return nil
}

// flip flips a bit: of three, two in the catalog, one of which where bbolt
// keeps its structure.
func flip(path string, rng *rand.Rand, i int) (what string, err error) {
	if i%3 == 2 {
		names, _ := filepath.Glob(filepath.Join(strings.TrimSuffix(path, ".db"), "*"+blobName))
		path = names[rng.IntN(len(names))]
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	at := rng.IntN(min(len(b), 60*pageSize))
	if i%3 == 0 {
		at = rng.IntN(min(len(b), 60*pageSize)/pageSize)*pageSize + rng.IntN(96)
	}
	bit := byte(1) << rng.IntN(8)
	b[at] ^= bit
	return fmt.Sprintf("%s: bit %#x at %d", filepath.Base(path), bit, at), os.WriteFile(path, b, 0o600)
}

func TestFlippedBitsNeverPanicNeverServeWrongBytesAndNeverStopTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "good")
	sampleFolder(t, filepath.Join(dir, "blobs.db"))
	count := 60
	if os.Getenv(longVariable) != "" {
		count = 5000
	}
	if raceEnabled {
		count = 30
	}
	out := childOutput(t, "read all", dir, "1", fmt.Sprint(count))
	last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	t.Logf("of %d flips %s", count, last)
	if strings.TrimSpace(last) == "noticed: 0 blobs not read: 0" {
		t.Error("no flip was noticed: the test proves nothing")
	}
}
