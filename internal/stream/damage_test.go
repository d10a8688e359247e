package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

// small returns the folder of a stopped engine with a few logs in one segment,
// and their contents.
func small(t *testing.T) (*disk, map[string]*outcome) {
	d := newDisk()
	e := openOn(t, d, 2<<10)
	want := map[string]*outcome{}
	for _, key := range []string{"a", "b"} {
		if err := e.Open(t.Context(), id(key), logs.OpenOptions{}); err != nil {
			t.Fatal(err)
		}
		want[key] = &outcome{}
	}
	for i := range 3 {
		for _, key := range []string{"a", "b"} {
			o := want[key]
			if _, err := e.Append(t.Context(), id(key), lines(key, o.lines+1, int64(i+1))); err != nil {
				t.Fatal(err)
			}
			o.lines += int64(i + 1)
		}
	}
	for _, key := range []string{"closed", "deleted", "empty"} {
		mustOpen(t, e, key)
		want[key] = &outcome{}
	}
	mustAppend(t, e, "closed", 1, 2)
	if err := e.Close(t.Context(), id("closed"), logs.Closing{}); err != nil {
		t.Fatal(err)
	}
	want["closed"] = &outcome{lines: 2, closed: true}
	if err := e.Delete(t.Context(), id("deleted")); err != nil {
		t.Fatal(err)
	}
	want["deleted"] = &outcome{deleted: true}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	return d, want
}

// neverWrong opens a damaged folder: lines may be missing, as a gap, but every
// line that is served is the one that was written. Unless the end of the log
// was cut off, every log exists, and no sequence is used again.
func neverWrong(t *testing.T, d *disk, want map[string]*outcome, cut bool, what string) (lost int64) {
	t.Helper()
	e, err := Open(Config{folder: d, segment: 2 << 10, Logger: quiet()})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer e.Stop()
	for key, o := range want {
		if o.deleted {
			if _, err := e.lookup(id(key)); err == nil && !cut {
				t.Fatalf("%s: %s was deleted and is back", what, key)
			}
			continue
		}
		if _, err := e.lookup(id(key)); err != nil && cut {
			lost += o.lines
			continue
		} else if err != nil {
			t.Fatalf("%s: %s: %v", what, key, err)
		}
		c, _ := e.Follow(t.Context(), id(key), 0)
		next := int64(1)
		for {
			batches, err := c.Next(t.Context())
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatalf("%s: %v", what, err)
			}
			if len(batches) == 0 {
				break
			}
			for _, b := range batches {
				if b.First != next {
					t.Fatalf("%s: %s: %d follows %d", what, key, b.First, next-1)
				}
				next = b.Next()
				if b.Gap {
					lost += b.Count
				} else if !bytes.Equal(b.Data, lines(key, b.First, b.Count).Data) {
					t.Fatalf("%s: %s: wrong lines served: %s", what, key, b.Data)
				}
			}
		}
		c.Close()
		lost += o.lines + 1 - next
		if cut {
			continue
		}
		if next != o.lines+1 {
			t.Fatalf("%s: %s: %d lines acknowledged, the next sequence is %d", what, key, o.lines, next)
		}
		if o.closed {
			if s, _ := e.lookup(id(key)); !s.closed {
				t.Fatalf("%s: %s was closed and is open", what, key)
			}
		}
	}
	return lost
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	d, want := small(t)
	if lost := neverWrong(t, d.crash(rand.New(rand.NewPCG(1, 1))), want, false, "undamaged"); lost != 0 {
		t.Fatalf("%d lines lost without damage", lost)
	}
	size := len(d.safe[segmentName(1)].safe)
	for bit := range size * 8 {
		x := d.crash(rand.New(rand.NewPCG(1, 1)))
		f := x.safe[segmentName(1)]
		f.safe[bit/8] ^= 1 << (bit % 8)
		lost := neverWrong(t, x, want, false, fmt.Sprintf("bit %d of byte %d", bit%8, bit/8))
		_, intact := x.names[segmentName(1)]
		if lost > 0 && !intact {
			t.Fatalf("bit %d: %d lines lost, and the file is gone", bit, lost)
		}
	}
}

func TestTruncationAtEveryByteLosesNothingBeforeIt(t *testing.T) {
	d, want := small(t)
	size := len(d.safe[segmentName(1)].safe)
	last := int64(1 << 60)
	for cut := range size {
		x := d.crash(rand.New(rand.NewPCG(1, 1)))
		f := x.safe[segmentName(1)]
		f.safe, f.size = slices.Clone(f.safe[:cut]), int64(cut)
		lost := neverWrong(t, x, want, true, fmt.Sprint("cut at ", cut))
		if lost > last {
			t.Fatalf("cut at %d loses %d lines, cut before it %d", cut, lost, last)
		}
		last = lost
	}
	if last == 1<<60 || last > 3 {
		t.Fatalf("a cut of the last byte loses %d lines", last)
	}
}

func TestADamagedRecordIsAGapAndItsFileStays(t *testing.T) {
	d, want := small(t)
	f := d.safe[segmentName(1)]
	at := bytes.Index(f.safe, []byte("a line 2")) // in the second of three appends
	f.safe[at] ^= 1
	e := openOn(t, d, 2<<10)
	defer e.Stop()
	got, lost, next := readAll(t, e, "a")
	if lost != 2 || next != want["a"].lines+1 {
		t.Fatalf("lost %d lines of the damaged record, next %d:\n%s", lost, next, got)
	}
	check(t, e, map[string]*outcome{"b": want["b"]})
	for key, o := range want {
		if o.deleted {
			continue
		}
		if err := e.Delete(t.Context(), id(key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.wal.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.reclaim()
	if names, _ := d.list(); !slices.Contains(names, segmentName(1)+damagedSuffix) {
		t.Fatalf("the damaged file is not kept: %v", names)
	}
}

func TestACloseShowsTheLossOfTheLastLines(t *testing.T) {
	d := newDisk()
	e := openOn(t, d, 64<<10)
	for _, key := range []string{"closed", "next"} {
		mustOpen(t, e, key)
	}
	mustAppend(t, e, "closed", 1, 3)
	mustAppend(t, e, "closed", 4, 2)
	if err := e.Close(t.Context(), id("closed"), logs.Closing{}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, e, "next", 1, 1)
	d = d.crash(rand.New(rand.NewPCG(1, 1))) // before a roster, if that is not late
	_ = e.Stop()
	f := d.safe[segmentName(1)]
	f.safe[bytes.Index(f.safe, []byte(`{"pos":3,"out":"closed line 4`))-recordHeader+9] ^= 1 // the record is lost
	e = openOn(t, d, 64<<10)
	defer e.Stop()
	if got, lost, next := readAll(t, e, "closed"); lost != 2 || next != 6 || got != string(lines("closed", 1, 3).Data) {
		t.Errorf("2 of 5 lines are damaged: %d are lost, the next sequence is %d", lost, next)
	}
	mustEqual(t, e, "next", 1)
}

func TestALogOpenedAgainIsTheNewOneIfItsDeletionIsLost(t *testing.T) {
	d := newDisk()
	e := openOn(t, d, 64<<10)
	mustOpen(t, e, "k")
	mustAppend(t, e, "k", 1, 3)
	if err := e.Delete(t.Context(), id("k")); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, e, "k")
	mustAppend(t, e, "k", 1, 2)
	d = d.crash(rand.New(rand.NewPCG(1, 1))) // before a roster, if that is not late
	_ = e.Stop()
	f := d.safe[segmentName(1)]
	for at := range f.safe {
		if r, ok := parseRecord(f.safe[at:]); ok && r.kind == kindDelete {
			f.safe[at+9] ^= 1 // the record is lost
		}
	}
	e = openOn(t, d, 64<<10)
	defer e.Stop()
	if got, lost, next := readAll(t, e, "k"); lost != 0 || next != 3 || got != string(lines("k", 1, 2).Data) {
		t.Errorf("the log has %q, %d lines are lost, the next sequence is %d", got, lost, next)
	}
	if live := e.live.Load(); live > int64(2*recordHeader+len(lines("k", 1, 3).Data)) {
		t.Errorf("%d bytes count as live: the old lines do, too", live)
	}
}
