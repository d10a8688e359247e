package stream

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

func TestAFormatOfAnotherVersionIsRefusedAndKept(t *testing.T) {
	for name, change := range map[string]struct {
		change func(b []byte)
		want   string
	}{
		"segment": {func(b []byte) {
			head := segmentHead{number: 1, firstGroup: 1, nextStream: 1}.encode()
			copy(head, "LOGSWAL3")
			sum := checksum(head[:60])
			head[60], head[61], head[62], head[63] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
			copy(b, head)
		}, `"LOGSWAL3"`},
		"record": {func(b []byte) {
			le := b[segmentHeader+groupHeader:]
			le[8] = byte(maxKind) + 1
			putChecksum(le)
		}, "newer version"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := small(t)
			before := slices.Clone(d.safe[segmentName(1)].safe)
			change.change(d.safe[segmentName(1)].safe)
			changed := slices.Clone(d.safe[segmentName(1)].safe)
			if slices.Equal(before, changed) {
				t.Fatal("nothing was changed")
			}
			_, err := Open(Config{folder: d, segment: 2 << 10, Logger: quiet()})
			if err == nil || !strings.Contains(err.Error(), change.want) || !strings.Contains(err.Error(), segmentName(1)) {
				t.Fatalf("opened: %v", err)
			}
			if f := d.names[segmentName(1)]; f == nil || !slices.Equal(f.content(), changed) {
				t.Fatal("the file was changed")
			}
		})
	}
}

// putChecksum makes the header of a record valid again.
func putChecksum(h []byte) {
	sum := checksum(h[4:recordHeader])
	h[0], h[1], h[2], h[3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
}

func TestASegmentOfTheFormerFormatIsRead(t *testing.T) {
	d, want := small(t)
	b := d.safe[segmentName(1)].safe
	copy(b, previousMagic)
	sum := checksum(b[:60])
	b[60], b[61], b[62], b[63] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
	e := openOn(t, d, 2<<10)
	check(t, e, want)
	mustAppend(t, e, "a", want["a"].lines+1, 2)
	want["a"].lines += 2
	_ = e.Stop()
	e = openOn(t, d, 2<<10)
	check(t, e, want)
	_ = e.Stop()
}

// TestWhatAStartShowsIsOnTheDisk: lines of a writer that was killed before
// their sync are in the system's cache. A start must sync them before it shows
// them or acknowledges their retry.
func TestWhatAStartShowsIsOnTheDisk(t *testing.T) {
	for fate := range uint64(8) {
		d := newDisk()
		e := openOn(t, d, 4<<10)
		mustOpen(t, e, "k")
		mustAppend(t, e, "k", 1, 4)
		d.mu.Lock()
		d.fault = func(op, _ string) error {
			if op == "sync" {
				return syscall.EINTR // the process is killed here
			}
			return nil
		}
		d.mu.Unlock()
		_, _ = e.Append(context.Background(), id("k"), lines("k", 5, 4))
		d.mu.Lock()
		d.fault = nil
		d.mu.Unlock()
		second := openOn(t, d, 4<<10)
		_, _, next := readAll(t, second, "k")
		if next != 9 {
			t.Fatalf("the write of the killed process is not in the cache: next is %d", next)
		}
		after := openOn(t, d.crash(rand.New(rand.NewPCG(fate, 5))), 4<<10)
		check(t, after, map[string]*outcome{"k": {lines: 8}})
		_, _, _ = after.Stop(), second.Stop(), e.Stop()
	}
}

// TestAStartThatCannotSyncWritesAnew: what was read may not be on the disk.
func TestAStartThatCannotSyncWritesAnew(t *testing.T) {
	d, want := small(t)
	d.fault = func(op, name string) error {
		if op == "sync" && name == segmentName(1) {
			return syscall.EIO
		}
		return nil
	}
	e := openOn(t, d, 2<<10)
	check(t, e, want)
	if d.names[segmentName(1)] != nil {
		t.Fatal("the segment that cannot be synced is still in use")
	}
	_ = e.Stop()
	e = openOn(t, d.crash(rand.New(rand.NewPCG(1, 9))), 2<<10)
	check(t, e, want)
	_ = e.Stop()
}

func TestAFileWhoseSyncFailedIsNeverWrittenAgain(t *testing.T) {
	d := newDisk()
	e := openOn(t, d, 4<<10)
	mustOpen(t, e, "k")
	bad := d.names[segmentName(1)]
	d.mu.Lock()
	fail := true
	d.fault = func(op, _ string) error {
		if op == "sync" && fail {
			fail = false
			return syscall.EIO
		}
		return nil
	}
	d.mu.Unlock()
	if _, err := e.Append(t.Context(), id("k"), lines("k", 1, 4)); err == nil {
		t.Fatal("a failed sync was acknowledged")
	}
	e.wal.mu.Lock()
	e.wal.refusal.until = e.wal.refusal.until.Add(-retryPause)
	e.wal.mu.Unlock()
	mustAppend(t, e, "k", 1, 4)
	if err := e.Delete(t.Context(), id("k")); err != nil {
		t.Fatal(err)
	}
	e.reclaim()
	for name, f := range d.names {
		if f == bad {
			t.Fatalf("the file is kept as %s", name)
		}
	}
	_ = e.Stop()
}

func TestNamesOfDamagedFilesDoNotComeBack(t *testing.T) {
	d, _ := small(t)
	for round := range 3 {
		names, _ := d.list()
		for _, name := range names {
			if strings.HasSuffix(name, walSuffix) {
				if b := d.safe[name].safe; len(b) > segmentHeader+40 {
					b[segmentHeader+40] ^= 1 // a record of the first group
				}
			}
		}
		e := openOn(t, d, 2<<10)
		infos, _ := e.List(t.Context(), logs.Filter{})
		for _, x := range infos {
			_ = e.Delete(t.Context(), x.ID)
		}
		mustOpen(t, e, "other")
		for i := range int64(10) {
			mustAppend(t, e, "other", i*20+1, 20)
		}
		_ = e.Delete(t.Context(), id("other"))
		e.reclaim()
		_ = e.Stop()
		names, _ = d.list()
		for _, name := range names { // an empty folder but for what is kept
			if strings.HasSuffix(name, walSuffix) {
				_ = d.remove(name)
			}
		}
		_ = d.sync()
		kept := 0
		for _, name := range names {
			if strings.HasSuffix(name, damagedSuffix) {
				kept++
			}
		}
		if kept < min(round+1, 1) {
			t.Fatalf("round %d: kept %v", round, names)
		}
		e = openOn(t, d, 2<<10)
		mustOpen(t, e, "k")
		for _, name := range names {
			if strings.HasSuffix(name, damagedSuffix) && d.names[name[:16]+walSuffix] != nil {
				t.Fatalf("a segment has the number of %s", name)
			}
		}
		_ = e.Stop()
	}
}

func TestRestartsGoOnInTheLastSegment(t *testing.T) {
	d, want := newDisk(), map[string]*outcome{"a": {}}
	e := openOn(t, d, 64<<10)
	mustOpen(t, e, "a")
	_ = e.Stop()
	for range 5 {
		e := openOn(t, d, 64<<10)
		mustAppend(t, e, "a", want["a"].lines+1, 2)
		want["a"].lines += 2
		check(t, e, want)
		_ = e.Stop()
	}
	n := 0
	for name := range d.names {
		if strings.HasSuffix(name, walSuffix) {
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d segments after 5 restarts: %v", n, d.names)
	}
	e = openOn(t, d.crash(rand.New(rand.NewPCG(1, 1))), 64<<10)
	check(t, e, want)
	_ = e.Stop()
}

// TestADamagedGroupWithoutARosterGivesUpOnlyTheDamagedRecord builds a log of two
// groups that no roster lists.
func TestADamagedGroupWithoutARosterGivesUpOnlyTheDamagedRecord(t *testing.T) {
	build := func() (d *disk, at map[string]int) {
		b, at := segmentHead{number: 1, firstGroup: 1, nextStream: 3}.encode(), map[string]int{}
		group := func(number uint64, records func(add func(name string, r record, data []byte))) {
			g := make([]byte, groupHeader)
			base := len(b)
			records(func(name string, r record, data []byte) {
				at[name] = base + len(g)
				r.size, r.dataCRC = uint32(len(data)), checksum(data)
				g = appendRecord(g, r, data)
			})
			putGroup(g, 1, number)
			b = append(b, g...)
		}
		line := func(add func(string, record, []byte), name, key string, stream uint64, first, n int64) {
			add(name, record{kind: kindLines, stream: stream, first: first, count: uint32(n)}, lines(key, first, n).Data)
		}
		group(1, func(add func(string, record, []byte)) {
			add("open a", record{kind: kindOpen, stream: 1, next: 1}, []byte("a\x00a"))
			add("open b", record{kind: kindOpen, stream: 2, next: 1}, []byte("a\x00b"))
			line(add, "a1", "a", 1, 1, 2)
			line(add, "b1", "b", 2, 1, 3)
		})
		group(2, func(add func(string, record, []byte)) { line(add, "a2", "a", 1, 3, 2) })
		d = newDisk()
		f, _ := d.create(segmentName(1), 0)
		_, _ = f.WriteAt(b, 0)
		_, _ = f.Sync(), d.sync()
		return d, at
	}
	for name, c := range map[string]struct {
		record     string
		offset     int
		lostA, nxt int64
		lostB, nxB int64
	}{
		"its header":           {"a1", 20, 2, 5, 0, 4},
		"its lines":            {"a1", recordHeader + 5, 2, 5, 0, 4},
		"the last of a log":    {"b1", recordHeader + 5, 0, 5, 3, 4},
		"the group's header":   {"open a", -groupHeader + 5, 0, 5, 0, 4},
		"nothing but its mark": {"open a", -groupHeader, 0, 5, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			d, at := build()
			d.safe[segmentName(1)].safe[at[c.record]+c.offset] ^= 4
			e := openOn(t, d, 4<<10)
			defer e.Stop()
			if _, lost, next := readAll(t, e, "a"); lost != c.lostA || next != c.nxt {
				t.Errorf("a: %d lines lost, next %d", lost, next)
			}
			if _, lost, next := readAll(t, e, "b"); lost != c.lostB || next != c.nxB {
				t.Errorf("b: %d lines lost, next %d", lost, next)
			}
		})
	}
}

// TestBytesThatLookLikeAnUnknownRecordStopNoStart: in a damaged group records are
// searched for byte by byte, also in what lines and compacted blocks hold.
func TestBytesThatLookLikeAnUnknownRecordStopNoStart(t *testing.T) {
	inner := appendRecord(nil, record{kind: maxKind + 1, stream: 9}, nil)
	g := make([]byte, groupHeader)
	add := func(r record, data []byte) {
		r.size, r.dataCRC = uint32(len(data)), checksum(data)
		g = appendRecord(g, r, data)
	}
	add(record{kind: kindOpen, stream: 1, next: 1}, []byte("a\x00a"))
	damaged := len(g)
	add(record{kind: kindLines, stream: 1, first: 1, count: 2}, inner)
	add(record{kind: kindLines, stream: 1, first: 3, count: 2}, lines("a", 3, 2).Data)
	putGroup(g, 1, 1)
	b := append(segmentHead{number: 1, firstGroup: 1, nextStream: 2}.encode(), g...)
	b[segmentHeader+damaged+20] ^= 1
	last := appendRecord(make([]byte, groupHeader), record{kind: kindPad}, nil)
	putGroup(last, 1, 2)
	d := newDisk()
	f, _ := d.create(segmentName(1), 0)
	_, _ = f.WriteAt(append(b, last...), 0)
	_, _ = f.Sync(), d.sync()
	e := openOn(t, d, 4<<10)
	defer e.Stop()
	if data, lost, next := readAll(t, e, "a"); lost != 2 || next != 5 || data != string(lines("a", 3, 2).Data) {
		t.Errorf("%d lines lost, next %d: %q", lost, next, data)
	}
	if n := e.lastNum.Load(); n >= 9 {
		t.Errorf("the bytes count as a record of stream %d", n)
	}
}

func TestAFailedSyncIsReportedUntilAWriteSucceeds(t *testing.T) {
	d := newDisk()
	e := openOn(t, d, 4<<10)
	defer e.Stop()
	mustOpen(t, e, "k")
	d.mu.Lock()
	d.fault = func(op, _ string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	}
	d.mu.Unlock()
	if _, err := e.Append(t.Context(), id("k"), lines("k", 1, 4)); err == nil {
		t.Fatal("a failed sync was acknowledged")
	}
	e.wal.mu.Lock()
	e.wal.refusal.until = e.wal.refusal.until.Add(-retryPause) // the next write may be tried
	e.wal.mu.Unlock()
	if err := e.Check(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Fatalf("before a write has succeeded the health is %v", err)
	}
	d.mu.Lock()
	d.fault = nil
	d.mu.Unlock()
	e.wal.mu.Lock()
	e.wal.refusal.until = e.wal.refusal.until.Add(-retryPause)
	e.wal.mu.Unlock()
	mustAppend(t, e, "k", 1, 4)
	if err := e.Check(t.Context()); err != nil {
		t.Fatalf("after a write: %v", err)
	}
}
