package stream

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harness/log-service/internal/logs"
)

func TestCompactionLeavesTheReserveToCloses(t *testing.T) {
	w := &wal{}
	w.reserved.Store(reserveBytes)
	items := func(kind recordKind, compacts bool, size int) []staged {
		return []staged{{rec: record{kind: kind}, compacts: compacts, data: make([]byte, size)}}
	}
	for left, want := range map[int64]bool{closingBytes - reserveBytes: false, closingBytes + freeingBytes - reserveBytes: true} {
		w.left.Store(left)
		if got := w.mayFree(items(kindCompacted, true, freeingBytes-recordHeader)); got != want {
			t.Errorf("with %d bytes left a compaction is staged: %v", left+reserveBytes, got)
		}
		if !w.mayFree(items(kindClose, false, 0)) {
			t.Errorf("with %d bytes left no close is staged", left+reserveBytes)
		}
	}
	w.left.Store(1 << 30)
	if w.mayFree(items(kindLines, false, 1)) || w.mayFree(items(kindCompacted, true, freeingBytes)) {
		t.Error("a full disk takes lines, or a large compaction")
	}
}

// noSpace refuses new files on d from now on.
func noSpace(d *disk) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = func(op, _ string) error {
		if op == "create" {
			return syscall.ENOSPC
		}
		return nil
	}
}

// TestWhatFreesSpaceWaitsUntilAFailedGroupIsReverted ends streams while the group
// of another one is reverted, which this test delays.
func TestWhatFreesSpaceWaitsUntilAFailedGroupIsReverted(t *testing.T) {
	d := newDisk()
	e := openOn(t, d, 16<<10)
	defer e.Stop()
	for _, key := range []string{"big", "closed", "deleted", "taken"} {
		mustOpen(t, e, key)
	}
	if err := e.Close(t.Context(), id("taken"), logs.Closing{}); err != nil {
		t.Fatal(err)
	}
	reverting, revert := make(chan struct{}), make(chan struct{})
	undone := e.wal.undone
	e.wal.undone = func(g *group, err error) {
		close(reverting)
		<-revert
		e.wal.undone = undone
		undone(g, err)
	}
	noSpace(d)
	failed := make(chan error, 1)
	go func() { _, err := e.Append(t.Context(), id("big"), lines("big", 1, 600)); failed <- err }()
	<-reverting
	done, waiting := make(chan error, 3), 3
	go func() { done <- e.Close(t.Context(), id("closed"), logs.Closing{}) }()
	go func() { done <- e.Delete(t.Context(), id("deleted")) }()
	go func() { _, err := e.Take(t.Context(), id("taken")); done <- err }()
	select {
	case err := <-done:
		t.Errorf("answered while the group is reverted: %v", err)
		waiting--
	case <-time.After(50 * time.Millisecond): // more only makes this stricter
	}
	close(revert)
	for range waiting {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := <-failed; !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the append without space: %v", err)
	}
}

// TestACompactionLeavesTheReserveBeforeTheDiskIsKnownToBeFull compacts more than
// may be taken from the reserve.
func TestACompactionLeavesTheReserveBeforeTheDiskIsKnownToBeFull(t *testing.T) {
	d := newDisk()
	e := openOn(t, d, reserveBytes)
	defer e.Stop()
	mustOpen(t, e, "k")
	s, err := e.lookup(id("k"))
	if err != nil {
		t.Fatal(err)
	}
	noSpace(d)
	stage := func(size int) error {
		data := make([]byte, size)
		s.mu.Lock()
		err := s.stage(staged{data: data, compacts: true, rec: record{kind: kindRecent, dataCRC: checksum(data)}})
		g := s.staging
		s.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		return g.wait(t.Context())
	}
	if err := stage(reserveBytes * 3 / 4); err != nil { // fills the segment
		t.Fatal(err)
	}
	if err := stage(closingBytes); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a compaction that leaves too little of the reserve: %v", err)
	}
	if e.wal.reserved.Load() != reserveBytes {
		t.Fatal("a compaction took the reserve")
	}
}

// TestTheNextReserveIsAnotherFile creates it while the header of the segment that
// took the last one is written.
func TestTheNextReserveIsAnotherFile(t *testing.T) {
	h := &hanging{disk: newDisk()}
	e := openOn(t, h, 16<<10)
	defer e.Stop()
	mustOpen(t, e, "k")
	mustOpen(t, e, "small")
	noSpace(h.disk)
	_ = fill(t, e, "k", &outcome{})
	s, err := e.lookup(id("small"))
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	h.release.Store(&release)
	s.mu.Lock()
	it := s.closeRecord(logs.Closing{})
	it.data = make([]byte, 8<<10) // more than the segment has left
	it.rec.dataCRC = checksum(it.data)
	err = s.stage(it)
	g := s.staging
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	reserve := func() *spare {
		e.wal.segMu.Lock()
		defer e.wal.segMu.Unlock()
		return e.wal.reserve
	}
	for reserve() != nil {
		runtime.Gosched()
	}
	h.mu.Lock()
	h.fault = nil
	h.mu.Unlock()
	for e.poke(); reserve() == nil; {
		runtime.Gosched()
	}
	h.release.Store(nil)
	close(release)
	if err := g.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wal.segMu.Lock()
	defer e.wal.segMu.Unlock()
	newest := e.wal.segments[len(e.wal.segments)-1]
	if fileOf(newest.file) == fileOf(e.wal.reserve.file) {
		t.Fatalf("%s is written, and the reserve", newest.name)
	}
}

func fileOf(f file) *diskFile {
	if h, ok := f.(*hangingFile); ok {
		f = h.file
	}
	return f.(*diskFile)
}

// A close that the disk has no space for takes the reserve before anybody knows
// that the disk is full. What is left of it is not for the appends that follow.
func TestAppendsDoNotUseUpTheReserveThatACloseTook(t *testing.T) {
	d := newDisk()
	e := openOn(t, d, reserveBytes)
	defer e.Stop()
	for i := range 50 {
		mustOpen(t, e, fmt.Sprint("short/", i))
	}
	mustOpen(t, e, "long")
	// Fill the segment to its last bytes, which the next record does not fit into.
	for e.wal.left.Load() > 200 {
		size := min(int(e.wal.left.Load())-100, 60<<10)
		line := fmt.Appendf(nil, `{"out":%q}`+"\n", strings.Repeat("x", max(1, size-200)))
		if _, err := e.Append(t.Context(), id("long"), logs.Lines{Data: line, Count: 1}); err != nil {
			t.Fatal(err)
		}
	}
	noSpace(d)
	for i := 0; e.wal.reserved.Load() > 0; i++ {
		if err := e.Close(t.Context(), id(fmt.Sprint("short/", i)), logs.Closing{}); err != nil {
			t.Fatal(err)
		}
	}
	line := fmt.Appendf(nil, `{"out":%q}`+"\n", strings.Repeat("x", 20<<10))
	for range 20 {
		if _, err := e.Append(t.Context(), id("long"), logs.Lines{Data: line, Count: 1}); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("an append to what was the reserve: %v", err)
		}
	}
	for i := range 50 {
		if err := e.Close(t.Context(), id(fmt.Sprint("short/", i)), logs.Closing{}); err != nil {
			t.Fatalf("close %d: %v", i, err)
		}
		if err := e.Delete(t.Context(), id(fmt.Sprint("short/", i))); err != nil {
			t.Fatalf("deletion %d: %v", i, err)
		}
	}
}

// TestTheReserveComesBackThoughTheDiskIsNotFull takes the reserve as a close does
// whose group found no space, before an append reports the disk as full.
func TestTheReserveComesBackThoughTheDiskIsNotFull(t *testing.T) {
	e := openOn(t, newDisk(), 16<<10)
	defer e.Stop()
	if err := e.wal.makeReserve(); err != nil {
		t.Fatal(err)
	}
	s := e.wal.takeReserve(1)
	if s == nil {
		t.Fatal("there was no reserve to take")
	}
	e.wal.recover()
	if e.wal.reserved.Load() == 0 {
		t.Error("there is no reserve for the next close")
	}
	if err := s.file.Close(); err != nil {
		t.Error(err)
	}
}
