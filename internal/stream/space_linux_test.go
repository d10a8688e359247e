package stream

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/harness/log-service/internal/proctest"
)

// TestASmallVolumeIsUsedAndRecovers fills a real volume that a whole segment does
// not fit on.
func TestASmallVolumeIsUsedAndRecovers(t *testing.T) {
	dir := proctest.SmallVolume(t, "3m")
	open := func() *Engine {
		e, err := Open(Config{Dir: dir, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open()
	want := map[string]*outcome{"a": {}, "b": {}}
	mustOpen(t, e, "a")
	mustOpen(t, e, "b")
	if err := fill(t, e, "a", want["a"]); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full volume answers %v", err)
	}
	if size := int64(len(lines("a", 1, want["a"].lines).Data)); size < 1<<20 {
		t.Fatalf("full with %d bytes of lines on 3 MiB", size)
	}
	_ = e.Stop()
	e = open()
	check(t, e, want)
	if err := e.Delete(t.Context(), id("a")); err != nil {
		t.Fatalf("deleting on a full volume: %v", err)
	}
	delete(want, "a")
	for range 3 {
		e.reclaim()
		e.wal.recover()
	}
	for range 5 {
		mustAppend(t, e, "b", want["b"].lines+1, 40)
		want["b"].lines += 40
	}
	check(t, e, want)
	_ = e.Stop()
	e = open()
	check(t, e, want)
	_ = e.Stop()
}

// TestTheLogHasDescriptorsWhenNobodyElseHas uses up the descriptors of the process.
func TestTheLogHasDescriptorsWhenNobodyElseHas(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	e, err := Open(Config{Dir: t.TempDir(), segment: 16 << 10, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	mustOpen(t, e, "k")
	low := old
	low.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) }()
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		files = append(files, f)
	}
	e.wal.segMu.Lock()
	before := e.wal.segments[len(e.wal.segments)-1].number
	e.wal.segMu.Unlock()
	for i := range int64(20) { // more than two segments
		mustAppend(t, e, "k", i*40+1, 40)
	}
	e.wal.segMu.Lock()
	changes := e.wal.segments[len(e.wal.segments)-1].number - before
	e.wal.segMu.Unlock()
	if changes == 0 {
		t.Fatal("no segment change happened")
	}
	mustEqual(t, e, "k", 800)
}
