//go:build linux

package bolt

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

// childPassesThrough stores a blob of args[1] bytes of args[2] and reads it
// back, and prints what it took.
func childPassesThrough(args []string) error {
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	part := storetest.Text(4<<20 + 7)
	if args[2] == "noise" {
		part = storetest.Noise(4<<20 + 7)
	}
	s, err := Open(args[0], Options{})
	if err != nil {
		return err
	}
	ctx, id := context.Background(), storetest.ID("acc", "big")
	in, out := sha256.New(), sha256.New()
	started := time.Now()
	r := io.TeeReader(&repeatReader{part: part, n: size}, in)
	if err := s.Put(ctx, id, r, logs.BlobInfo{Archive: args[2] == "noise"}); err != nil {
		return err
	}
	up := time.Since(started)
	started = time.Now()
	if err := copyBlob(ctx, s, out); err != nil {
		return err
	}
	down := time.Since(started)
	fmt.Printf("up %d\ndown %d\n", int(float64(size)/1e6/up.Seconds()), int(float64(size)/1e6/down.Seconds()))
	if in, out := in.Sum(nil), out.Sum(nil); string(in) != string(out) {
		return fmt.Errorf("sum in %x, out %x", in, out)
	}
	status, err := os.ReadFile("/proc/self/status")
	fmt.Print(string(status))
	return err
}

func copyBlob(ctx context.Context, s *Store, w hash.Hash) error {
	b, err := s.Get(ctx, storetest.ID("acc", "big"))
	if err != nil {
		return err
	}
	r, err := b.Range(ctx, 0, -1)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}

func TestALargeBlobPassesThroughBoundedMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("SKIPPED: peak memory is read from /proc, which this system does not have")
	}
	size, most := int64(192<<20), int64(128<<20)
	if storetest.Long() {
		size, most = 1<<30, 200<<20
	}
	if raceEnabled {
		most *= 2 // the detector's shadow memory
	}
	for _, content := range []string{"log", "noise"} {
		t.Run(content, func(t *testing.T) {
			path := diskFile(t)
			got := fields(childOutput(t, "pass through", path, fmt.Sprint(size), content))
			peak := got["VmHWM:"] << 10
			t.Logf("%d MB of %s: up %d MB/s, down %d MB/s, sums of both included; peak RSS %d MB, at the end anonymous %d MB, of files %d MB",
				size/1e6, content, got["up"], got["down"], peak/1e6, got["RssAnon:"]<<10/1e6, got["RssFile:"]<<10/1e6)
			if peak == 0 || peak > most {
				t.Errorf("peak RSS %d bytes, want at most %d", peak, most)
			}
			if content == "log" {
				openStore(t, path)
				if used := onDisk(t, filepath.Dir(path)); used > size*15/100 {
					t.Errorf("%d bytes of log take %d on disk, over 15 %%", size, used)
				}
			}
		})
	}
}

// fields reads lines of a name and a number.
func fields(text string) map[string]int64 {
	out := map[string]int64{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) >= 2 {
			out[f[0]], _ = strconv.ParseInt(f[1], 10, 64)
		}
	}
	return out
}
