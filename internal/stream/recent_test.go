package stream

import (
	"fmt"
	"testing"
	"time"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// marked returns n lines whose retry is recognized.
func marked(key string, first, n int64) logs.Lines {
	l := lines(key, first, n)
	l.Dedupe = true
	return l
}

func mustBe(t testing.TB, e *Engine, key string, l logs.Lines, next int64) {
	t.Helper()
	if got, err := e.Append(t.Context(), id(key), l); err != nil || got != next {
		t.Fatalf("append to %s: next %d, %v; want %d", key, got, err, next)
	}
}

// compact appends to other logs until everything in the first segments of e has
// been compacted.
func compact(t testing.TB, e *Engine, segment int64) {
	t.Helper()
	for e.uncompacted.Load() > 0 {
		mustOpen(t, e, "traffic")
		for i := range 4 * deadSegments * segment / 4096 {
			mustAppend(t, e, "traffic", i*80+1, 80)
		}
		if err := e.Delete(t.Context(), id("traffic")); err != nil {
			t.Fatal(err)
		}
		e.reclaim()
	}
}

func TestARetryIsRecognizedAfterCompactionAndRestart(t *testing.T) {
	const segment = 16 << 10
	dir := t.TempDir()
	open := func() *Engine {
		e, err := Open(Config{Dir: dir, segment: segment, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open()
	mustOpen(t, e, "k")
	const batches, each = 40, 3
	for i := range int64(batches) {
		mustBe(t, e, "k", marked("k", i*each+1, each), (i+1)*each+1)
	}
	large := marked("k", batches*each+1, 9000) // of several records
	next := int64(batches*each + 9001)
	mustBe(t, e, "k", large, next)
	retry := func(when string) {
		t.Helper()
		for i := range int64(batches) {
			mustBe(t, e, "k", marked("k", i*each+1, each), next)
		}
		mustBe(t, e, "k", large, next)
		mustEqual(t, e, "k", next-1)
		t.Logf("%d retries known %s", batches+1, when)
	}
	for range 3 { // compacted blocks are compacted again
		compact(t, e, segment)
		retry("after compaction")
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
		e = open()
		retry("after a restart")
		next++
		mustBe(t, e, "k", marked("k", next-1, 1), next)
	}
	// Part of one append is a different batch.
	mustBe(t, e, "k", marked("k", 1, each-1), next+each-1)
	if err := e.Delete(t.Context(), id("k")); err != nil {
		t.Fatal(err)
	}
	if n, used := e.recent.Count(), e.memory.Used(); n != 0 || used != 0 {
		t.Errorf("the stream is gone, but %d appends are remembered, %d bytes used", n, used)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestARetryIsRecognizedForTwoMinutesWhateverOthersAppend(t *testing.T) {
	e, err := Open(Config{Dir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	mustOpen(t, e, "k")
	const n = 500
	for i := range int64(n) {
		mustBe(t, e, "k", marked("k", i+1, 1), i+2)
	}
	e.expireRecent(e.clock() + 2*time.Minute)
	for i := range int64(n) {
		mustBe(t, e, "k", marked("k", i+1, 1), n+1)
	}
	mustEqual(t, e, "k", n)
	e.expireRecent(e.clock() + batches.RecentTime)
	if left := e.recent.Count(); left != 0 {
		t.Errorf("%d appends are remembered when their time is over", left)
	}
}

func TestRememberedAppendsAreBounded(t *testing.T) {
	const (
		memory      = 64 << 10
		recentShare = 4  // of the memory
		recentBytes = 64 // per append
		minRecent   = 16 // of every stream
	)
	e, err := Open(Config{Dir: t.TempDir(), Memory: memory, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	const streams, each = 20, 60
	most := int64(memory/recentShare/recentBytes + streams*minRecent)
	for i := range int64(each) {
		for k := range streams {
			key := fmt.Sprint("k", k)
			if i == 0 {
				mustOpen(t, e, key)
			}
			mustBe(t, e, key, marked(key, i+1, 1), i+2)
			if n := e.recent.Count(); n > most {
				t.Fatalf("%d appends are remembered, want at most %d", n, most)
			}
		}
	}
	for k := range streams { // the last ones are
		key := fmt.Sprint("k", k)
		for i := int64(each - minRecent); i < each; i++ {
			mustBe(t, e, key, marked(key, i+1, 1), each+1)
		}
	}
}
