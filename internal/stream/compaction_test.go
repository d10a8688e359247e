package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/logs"
)

func mustOpen(t testing.TB, e *Engine, key string) {
	t.Helper()
	if err := e.Open(t.Context(), id(key), logs.OpenOptions{}); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, e *Engine, key string, first, n int64) {
	t.Helper()
	if _, err := e.Append(t.Context(), id(key), lines(key, first, n)); err != nil {
		t.Fatal(err)
	}
}

func mustEqual(t testing.TB, e *Engine, key string, n int64) {
	t.Helper()
	got, lost, next := readAll(t, e, key)
	if lost != 0 || next != n+1 || got != string(lines(key, 1, n).Data) {
		t.Fatalf("%s: %d lines of %d, %d lost", key, next-1, n, lost)
	}
}

func TestALongLogIsCompactedWhileShortOnesComeAndGo(t *testing.T) {
	dir := t.TempDir()
	const segment = 16 << 10
	open := func() *Engine {
		e, err := Open(Config{Dir: dir, segment: segment, Memory: 4 << 10, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open()
	mustOpen(t, e, "long")
	mustOpen(t, e, "idle")
	mustAppend(t, e, "idle", 1, 7)
	n := int64(0)
	for round := range 60 {
		key := fmt.Sprint("short", round)
		mustOpen(t, e, key)
		for i := range 20 {
			mustAppend(t, e, "long", n+1, 1)
			n++
			mustAppend(t, e, key, int64(i*10)+1, 10)
		}
		if err := e.Delete(t.Context(), id(key)); err != nil {
			t.Fatal(err)
		}
		e.reclaim()
		if round%15 == 14 {
			mustEqual(t, e, "long", n)
			if err := e.Stop(); err != nil {
				t.Fatal(err)
			}
			e = open()
			if len(e.streams) != 2 {
				t.Fatalf("%d streams after a restart, 2 were open", len(e.streams))
			}
			mustEqual(t, e, "long", n)
			mustEqual(t, e, "idle", 7)
		}
	}
	_, _, total := e.wal.oldest()
	live := e.live.Load()
	if limit := 2*live + (deadSegments+2)*segment; total > limit {
		t.Errorf("the log has %d bytes for %d that live, more than %d", total, live, limit)
	}
	s, _ := e.lookup(id("long"))
	s.mu.Lock()
	if len(s.index) > 600 {
		t.Errorf("the index of %d lines has %d entries: nothing was compacted", n, len(s.index))
	}
	var sum int64
	for i := range s.index {
		sum += s.index[i].length()
	}
	if want := int64(len(lines("long", 1, n).Data)); sum != want || s.bytes != want {
		t.Errorf("%d bytes by the index, %d by the stream, %d written", sum, s.bytes, want)
	}
	s.mu.Unlock()
	for _, key := range []string{"long", "idle"} {
		if err := e.Delete(t.Context(), id(key)); err != nil {
			t.Fatal(err)
		}
	}
	e.reclaim()
	if live := e.live.Load(); live != 0 || e.uncompacted.Load() != 0 || e.memory.Used() != 0 {
		t.Errorf("nothing is left, but live=%d uncompacted=%d memory=%d", live, e.uncompacted.Load(), e.memory.Used())
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestMemoryKeepsItsBudgetAndTheDiskTheRest(t *testing.T) {
	e, err := Open(Config{Dir: t.TempDir(), Memory: 8 << 10, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	mustOpen(t, e, "k")
	follower, err := e.Follow(t.Context(), id("k"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	for i := range int64(500) {
		mustAppend(t, e, "k", i*3+1, 3)
		if used := e.memory.Used(); used > 8<<10 {
			t.Fatalf("%d bytes in memory, the budget is %d", used, 8<<10)
		}
	}
	mustEqual(t, e, "k", 1500)
	c, err := e.Follow(t.Context(), id("k"), 700) // in the middle of an append
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := c.Next(t.Context())
	if err != nil || b[0].First != 701 || !strings.HasPrefix(string(b[0].Data), string(lines("k", 701, 2).Data)) {
		t.Fatalf("after 700: %+v, %v", b, err)
	}
}

func TestWithoutALogEvictedLinesAreAGap(t *testing.T) {
	e, err := Open(Config{Memory: 8 << 10, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	mustOpen(t, e, "k")
	for i := range int64(500) {
		mustAppend(t, e, "k", i*3+1, 3)
	}
	got, lost, next := readAll(t, e, "k")
	if next != 1501 || lost == 0 || lost%3 != 0 {
		t.Fatalf("%d lines lost, next %d", lost, next)
	}
	if want := string(lines("k", lost+1, 1500-lost).Data); got != want {
		t.Fatal("what is left is not the end of the log")
	}
}

func TestIdleBatchesLeaveMemoryAndTheAccountReturnsToZero(t *testing.T) {
	e, err := Open(Config{Dir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	mustOpen(t, e, "k")
	mustAppend(t, e, "k", 1, 3000)
	small := e.memory.Used()
	if small < smallLog {
		t.Fatalf("%d bytes held of the beginning of a log", small)
	}
	mustAppend(t, e, "k", 3001, 100)
	if used := e.memory.Used(); used != small {
		t.Fatalf("%d bytes held in memory for nobody", used-small)
	}
	e.memory.Idle(e.clock() + time.Second)
	if used := e.memory.Used(); used != 0 {
		t.Fatalf("%d bytes held when their time was over", used)
	}
	c, _ := e.Follow(t.Context(), id("k"), 3100)
	defer c.Close()
	mustAppend(t, e, "k", 3101, 100)
	b, _ := c.Next(t.Context())
	b[0].Encoded(func(b *logs.Batch) []byte { return b.Data })
	if used := e.memory.Used(); used < 2*int64(len(b[0].Data)) {
		t.Fatalf("%d bytes accounted for a batch of %d and its encoding", used, len(b[0].Data))
	}
	e.memory.Idle(e.clock() + time.Second)
	if used := e.memory.Used(); used != 0 {
		t.Fatalf("%d bytes accounted with nothing in memory", used)
	}
	mustEqual(t, e, "k", 3200)
}

func TestManyShortStreamsLeaveNothingInMemory(t *testing.T) {
	e, err := Open(Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	for i := range 5000 {
		key := fmt.Sprint(i)
		mustOpen(t, e, key)
		mustAppend(t, e, key, 1, 1)
		if err := e.Delete(t.Context(), id(key)); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.memory.Queued(); n > 2000 || e.memory.Used() != 0 {
		t.Fatalf("%d items queued, %d bytes", n, e.memory.Used())
	}
}
