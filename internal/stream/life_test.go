package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// life is a scripted life of an engine on a faulty disk: appends of mixed
// sizes, segment changes, compaction, closes, deletions and restarts, by a
// client that repeats failed calls.
type life struct {
	t       *testing.T
	d       *disk
	segment int64
	e       *Engine
	logs    map[string]*outcome
	fault   string
	refused int  // calls that a fault made fail
	damaged bool // the fault is one that counts as damage: gaps are due
}

// try repeats call until it succeeds. A permanent fault is an error of the
// script.
func (l *life) try(what string, call func() error) {
	l.t.Helper()
	for range 200 {
		err := call()
		if err == nil {
			return
		}
		if !errors.Is(err, logservice.ErrUnavailable) {
			l.t.Fatalf("%s: a fault (%s) is answered %v", what, l.fault, err)
		}
		l.refused++
		l.unpause()
		l.pulse()
	}
	l.t.Fatalf("%s: still refused when the fault was over", what)
}

// unpause ends the pause after a failure, instead of waiting a second.
func (l *life) unpause() {
	l.e.wal.mu.Lock()
	l.e.wal.refusal.until = time.Time{}.Add(1)
	l.e.wal.mu.Unlock()
	l.e.wal.recover()
}

// pulse is a small append between the others, which may fit if a larger one has
// failed.
func (l *life) pulse() {
	const key = "pulse"
	o := l.logs[key]
	if o == nil {
		if l.e.Open(context.Background(), id(key), logs.OpenOptions{}) == nil {
			l.logs[key] = &outcome{}
		}
		return
	}
	if next, err := l.e.Append(context.Background(), id(key), lines(key, o.lines+1, 1)); err == nil {
		if o.lines++; next != o.lines+1 {
			l.t.Fatalf("%s: %d lines acknowledged, the next sequence is %d", key, o.lines, next)
		}
	}
}

func (l *life) open(key string) {
	l.logs[key] = &outcome{}
	l.try("open "+key, func() error { return l.e.Open(context.Background(), id(key), logs.OpenOptions{}) })
}

func (l *life) push(key string, n int64) {
	o := l.logs[key]
	l.try("push "+key, func() error {
		next, err := l.e.Append(context.Background(), id(key), lines(key, o.lines+1, n))
		if err == nil && next != o.lines+n+1 {
			l.t.Fatalf("%s: %d lines acknowledged, the next sequence is %d", key, o.lines+n, next)
		}
		return err
	})
	o.lines += n
}

func (l *life) close(key string) {
	l.try("close "+key, func() error {
		return l.e.Close(context.Background(), id(key), logs.Closing{Archive: logs.ArchiveAlways})
	})
	l.logs[key].closed = true
}

// remove deletes an open log: that is durable once it is acknowledged.
func (l *life) remove(key string) {
	l.try("delete "+key, func() error {
		err := l.e.Delete(context.Background(), id(key))
		if errors.Is(err, logservice.ErrStreamNotFound) {
			return nil
		}
		return err
	})
	delete(l.logs, key)
	l.logs["gone "+key] = &outcome{deleted: true}
}

func (l *life) restart() {
	if l.e != nil {
		_ = l.e.Stop()
	}
	for range 200 {
		e, err := Open(Config{folder: l.d, segment: l.segment, Logger: quiet()})
		if err == nil {
			l.e = e
			return
		}
		l.refused++
	}
	l.t.Fatal("the engine does not start when the fault is over")
}

func (l *life) run() {
	l.restart()
	l.pulse()
	l.open("long")
	l.push("long", 3)
	for i := range 14 {
		key := fmt.Sprint("short", i)
		l.open(key)
		l.push(key, 1)
		l.push(key, 40) // more than a block
		l.push("long", 1)
		if i == 2 {
			l.push("long", 150) // more than a segment
		}
		if i%2 == 0 {
			l.close(key)
		} else {
			l.remove(key)
		}
		l.e.reclaim()
		if i%3 == 2 {
			l.restart()
		}
	}
	l.push("long", 2)
}

// check compares the state with what was acknowledged.
func (l *life) check(e *Engine, when string) (checked int64) {
	l.t.Helper()
	for key, o := range l.logs {
		if name, ok := cutGone(key); ok {
			if _, err := e.lookup(id(name)); err == nil {
				l.t.Fatalf("%s: %s was deleted and is back", when, name)
			}
			continue
		}
		s, err := e.lookup(id(key))
		if err != nil {
			l.t.Fatalf("%s: %s: %v", when, key, err)
		}
		got, lost, next := readAll(l.t, e, key)
		if l.damaged && lost > 0 && next == o.lines+1 {
			continue
		}
		if lost != 0 || next != o.lines+1 || got != string(lines(key, 1, o.lines).Data) {
			l.t.Fatalf("%s: %s: %d lines acknowledged, the log has %d, %d of them lost", when, key, o.lines, next-1, lost)
		}
		if s.closed != o.closed {
			l.t.Fatalf("%s: %s: closed is %v", when, key, s.closed)
		}
		checked += o.lines
	}
	return checked
}

func cutGone(key string) (string, bool) {
	if len(key) > 5 && key[:5] == "gone " {
		return key[5:], true
	}
	return "", false
}

// TestAFaultAtAnyStepLosesNothing runs the script with a fault at every one of
// its operations, for one operation and for several in a row.
func TestAFaultAtAnyStepLosesNothing(t *testing.T) {
	const segment = 8 << 10
	dry := &life{t: t, d: newDisk(), segment: segment, logs: map[string]*outcome{}}
	dry.run()
	dry.check(dry.e, "without a fault")
	_ = dry.e.Stop()
	total := dry.d.ops
	if total < 150 {
		t.Fatalf("the script has only %d operations", total)
	}
	step := 5
	if os.Getenv("LOG_SERVICE_TEST_LONG") != "" {
		step = 1
	}
	faults, checked, refused := 0, int64(0), 0
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
		for _, length := range []int{1, 2, 5} {
			for at := 1 + (length+int(fault.(syscall.Errno)))%step; at <= total; at += step {
				l := &life{t: t, d: newDisk(), segment: segment, logs: map[string]*outcome{}}
				what := fmt.Sprintf("%v at operations %d to %d", fault, at, at+length-1)
				l.fault = what
				l.d.fault = func(op, _ string) error {
					if l.d.ops >= at && l.d.ops < at+length && op != "read" {
						l.damaged = l.damaged || op == "open" && fault == syscall.EIO && length >= openTries
						return fault
					}
					return nil
				}
				l.run()
				checked += l.check(l.e, what)
				l.d.mu.Lock()
				l.d.fault = nil
				l.d.mu.Unlock()
				after := openOn(t, l.d.crash(rand.New(rand.NewPCG(uint64(at), 3))), segment)
				checked += l.check(after, what+", then a crash")
				_ = after.Stop()
				l.restart()
				checked += l.check(l.e, what+", then a restart")
				_ = l.e.Stop()
				faults, refused = faults+1, refused+l.refused
			}
		}
	}
	t.Logf("%d faults tried (%d calls refused), %d lines checked: lost 0, doubled 0, hidden 0", faults, refused, checked)
}

// TestDamageAnywhereIsAGapAndHidesNoLog damages the log written by the script,
// bit by bit and block by block.
func TestDamageAnywhereIsAGapAndHidesNoLog(t *testing.T) {
	const segment = 8 << 10
	l := &life{t: t, d: newDisk(), segment: segment, logs: map[string]*outcome{}}
	l.run()
	if err := l.e.Stop(); err != nil {
		t.Fatal(err)
	}
	want := map[string]*outcome{}
	for key, o := range l.logs {
		if name, gone := cutGone(key); gone {
			key = name
		}
		want[key] = o
	}
	r := rand.New(rand.NewPCG(7, 7))
	copied := func() *disk { return l.d.crash(r) }
	names := []string{}
	for name := range l.d.safe {
		if strings.HasSuffix(name, walSuffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) < 2 {
		t.Fatalf("only %d segments", len(names))
	}
	if lost := neverWrong(t, copied(), want, false, "undamaged"); lost != 0 {
		t.Fatalf("%d lines lost without damage", lost)
	}
	flips := 300
	if os.Getenv("LOG_SERVICE_TEST_LONG") != "" {
		flips = 20_000
	}
	gaps := 0
	for range flips {
		d := copied()
		name := names[r.IntN(len(names))]
		b := d.safe[name].safe
		bit := r.IntN(len(b) * 8)
		b[bit/8] ^= 1 << (bit % 8)
		if neverWrong(t, d, want, false, fmt.Sprintf("bit %d of %s", bit, name)) > 0 {
			gaps++
		}
	}
	blocks := 0
	for _, name := range names {
		for off := 0; off < len(l.d.safe[name].safe); off += 512 {
			d := copied()
			d.bad = func(file string, from, to int64) bool {
				return file == name && from < int64(off)+512 && to > int64(off)
			}
			if neverWrong(t, d, want, false, fmt.Sprintf("the block at %d of %s cannot be read", off, name)) > 0 {
				gaps++
			}
			blocks++
		}
	}
	t.Logf("%d flipped bits and %d unreadable blocks in %d segments: %d times lines were lost, each time as a gap; no log hidden, none back, no sequence given twice",
		flips, blocks, len(names), gaps)
}
