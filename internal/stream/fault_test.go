package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openOn(t testing.TB, d folder, segment int64) *Engine {
	t.Helper()
	e, err := Open(Config{folder: d, segment: segment, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func id(key string) logservice.ID { return logservice.ID{Account: "a", Key: logservice.Key(key)} }

// lines makes n lines of a log, numbered from first on.
func lines(key string, first, n int64) logs.Lines {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"pos":%d,"out":"%s line %d","time":"t"}`+"\n", first+i-1, key, first+i)
	}
	return logs.Lines{Data: b.Bytes(), Count: n}
}

// readAll reads the current contents of a log; gaps are counted.
func readAll(t testing.TB, e *Engine, key string) (data string, lost int64, next int64) {
	t.Helper()
	c, err := e.Follow(context.Background(), id(key), 0)
	if err != nil {
		t.Fatalf("follow %s: %v", key, err)
	}
	defer c.Close()
	var b strings.Builder
	next = 1
	for {
		batches, err := c.Next(context.Background())
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("read %s: %v", key, err)
		}
		if err != nil || len(batches) == 0 {
			return b.String(), lost, next
		}
		for _, x := range batches {
			if x.First != next {
				t.Fatalf("%s: batch from %d after %d", key, x.First, next-1)
			}
			next = x.Next()
			if x.Gap {
				lost += x.Count
			} else {
				b.Write(x.Data)
			}
		}
	}
}

// script is a workload that rotates and compacts. It returns what was
// acknowledged, by log: how many lines, and whether the log is closed or
// deleted.
type outcome struct {
	lines           int64
	closed, deleted bool
	tried           bool // the next change was begun and not acknowledged
}

func script(e *Engine) map[string]*outcome {
	ctx := context.Background()
	out := map[string]*outcome{}
	open := func(key string) bool {
		out[key] = &outcome{tried: true}
		if e.Open(ctx, id(key), logs.OpenOptions{}) != nil {
			return false
		}
		out[key].tried = false
		return true
	}
	push := func(key string, n int64) bool {
		o := out[key]
		o.tried = true
		if next, err := e.Append(ctx, id(key), lines(key, o.lines+1, n)); err != nil || next != o.lines+n+1 {
			return false
		}
		o.lines, o.tried = o.lines+n, false
		return true
	}
	end := func(key string) bool {
		o := out[key]
		o.tried = true
		if e.Close(ctx, id(key), logs.Closing{Archive: logs.ArchiveAlways}) != nil {
			return false
		}
		o.closed = true
		if e.Delete(ctx, id(key)) != nil {
			return false
		}
		o.deleted, o.tried = true, false
		return true
	}
	if !open("long") || !push("long", 3) {
		return out
	}
	for i := range 14 {
		key := fmt.Sprint("short", i)
		if !open(key) || !push(key, 5) || !push(key, 20) || !push("long", 1) || !end(key) {
			return out
		}
		e.reclaim()
	}
	return out
}

// check compares the state after a restart with what was acknowledged: all of
// it, once and in order, and beyond it at most the change in progress.
func check(t *testing.T, e *Engine, want map[string]*outcome) {
	t.Helper()
	for key, o := range want {
		s, err := e.lookup(id(key))
		if err != nil {
			if !o.deleted && !o.tried {
				t.Fatalf("%s: after restart: %v", key, err)
			}
			continue
		}
		if o.deleted && !s.closed { // it may be back, but only as it was
			t.Fatalf("%s: acknowledged as closed and deleted, after restart it is open", key)
		}
		got, lost, next := readAll(t, e, key)
		if lost != 0 {
			t.Fatalf("%s: %d lines lost", key, lost)
		}
		n := next - 1
		if n < o.lines || n > o.lines && !o.tried {
			t.Fatalf("%s: %d lines after restart, %d acknowledged", key, n, o.lines)
		}
		if all := string(lines(key, 1, n).Data); got != all {
			t.Fatalf("%s: other lines than were written:\n%s", key, got)
		}
	}
}

func TestNothingAcknowledgedIsLostWhereverTheMachineStops(t *testing.T) {
	const segment = 4 << 10
	d := newDisk()
	e := openOn(t, d, segment)
	check(t, e, script(e))
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	total := d.ops
	if total < 150 {
		t.Fatalf("the script has only %d steps", total)
	}
	step := 3
	if os.Getenv("LOG_SERVICE_TEST_LONG") != "" {
		step = 1
	}
	for stop := 1; stop <= total; stop += step {
		r := rand.New(rand.NewPCG(uint64(stop), 1))
		d := newDisk()
		d.stop = stop
		e := openOn(t, d, segment)
		acked := script(e)
		_ = e.Stop()
		for range 3 { // three fates of the same crash
			after := d.crash(r)
			e := openOn(t, after, segment)
			check(t, e, acked)
			// It continues from there, and starts once more.
			if err := e.Open(t.Context(), id("next"), logs.OpenOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Append(t.Context(), id("next"), lines("next", 1, 4)); err != nil {
				t.Fatal(err)
			}
			if err := e.Stop(); err != nil {
				t.Fatal(err)
			}
			e = openOn(t, after, segment)
			check(t, e, acked)
			check(t, e, map[string]*outcome{"next": {lines: 4}})
			_ = e.Stop()
		}
		if t.Failed() {
			t.Fatalf("stopped at step %d", stop)
		}
	}
}

func TestAFailedSyncAcknowledgesNothingAndWritingGoesOnInAnotherFile(t *testing.T) {
	for _, op := range []string{"sync", "write", "create", "sync folder", "rename"} {
		for at := 1; at <= 12; at++ {
			t.Run(fmt.Sprint(op, at), func(t *testing.T) {
				d := newDisk()
				e := openOn(t, d, 2<<10)
				n := 0
				d.fault = func(o, name string) error {
					// What fails while a spare is made costs nothing.
					if o == op && !strings.HasPrefix(name, sparePrefix) {
						if n++; n == at {
							return syscall.EIO
						}
					}
					return nil
				}
				ctx := t.Context()
				o := &outcome{}
				opened := false
				failures := 0
				for o.lines < 40 {
					var err error
					if !opened {
						err = e.Open(ctx, id("k"), logs.OpenOptions{})
						opened = err == nil
					} else {
						l := lines("k", o.lines+1, 4)
						l.Offset = o.lines + 1
						if _, err = e.Append(ctx, id("k"), l); err == nil {
							o.lines += 4
						}
					}
					if err != nil {
						if !errors.Is(err, logservice.ErrUnavailable) {
							t.Fatalf("not an ErrUnavailable: %v", err)
						}
						failures++
						e.wal.mu.Lock()
						e.wal.refusal.until = e.wal.refusal.until.Add(-retryPause) // the pause is over
						e.wal.mu.Unlock()
					}
				}
				if n >= at && failures == 0 {
					t.Fatal("the fault was not reported")
				}
				check(t, e, map[string]*outcome{"k": o})
				// Where the machine stops now, what was refused must not count twice.
				after := openOn(t, d.crash(rand.New(rand.NewPCG(uint64(at), 2))), 2<<10)
				check(t, after, map[string]*outcome{"k": o})
				_ = after.Stop()
				_ = e.Stop()
			})
		}
	}
}

func TestAFullDiskRefusesAppendsServesReadsAndRecovers(t *testing.T) {
	d := newDisk()
	e := openOn(t, d, 2<<10)
	ctx := t.Context()
	if err := e.Open(ctx, id("k"), logs.OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	full := false
	d.mu.Lock()
	d.fault = func(op, _ string) error {
		if full && op == "create" {
			return syscall.ENOSPC
		}
		return nil
	}
	full = true
	d.mu.Unlock()
	o := &outcome{}
	var err error
	for err == nil {
		if _, err = e.Append(ctx, id("k"), lines("k", o.lines+1, 4)); err == nil {
			o.lines += 4
		}
	}
	if !errors.Is(err, logservice.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full disk answers %v", err)
	}
	check(t, e, map[string]*outcome{"k": o})
	d.mu.Lock()
	full = false
	d.mu.Unlock()
	for {
		if _, err := e.Append(ctx, id("k"), lines("k", o.lines+1, 4)); err == nil {
			break
		}
	}
	o.lines += 4
	check(t, e, map[string]*outcome{"k": o})
	_ = e.Stop()
}
