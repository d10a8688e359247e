package stream

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// fill appends to key until the log refuses.
func fill(t *testing.T, e *Engine, key string, o *outcome) error {
	t.Helper()
	for range 100_000 {
		if _, err := e.Append(t.Context(), id(key), lines(key, o.lines+1, 40)); err != nil {
			return err
		}
		o.lines += 40
	}
	t.Fatal("the disk does not get full")
	return nil
}

func TestAFullDiskTakesClosesAndDeletionsAndReportsItself(t *testing.T) {
	d := newDisk()
	full := true
	d.fault = func(op, _ string) error {
		if full && (op == "create" || op == "extend") {
			return syscall.ENOSPC
		}
		return nil
	}
	full = false
	e := openOn(t, d, 16<<10)
	want := map[string]*outcome{}
	for i := range 20 {
		key := fmt.Sprint("k", i)
		mustOpen(t, e, key)
		mustAppend(t, e, key, 1, 3)
		want[key] = &outcome{lines: 3}
	}
	mustOpen(t, e, "big")
	want["big"] = &outcome{}
	if err := e.Check(t.Context()); err != nil {
		t.Fatalf("in good order: %v", err)
	}
	d.mu.Lock()
	full = true
	d.mu.Unlock()
	err := fill(t, e, "big", want["big"])
	if !errors.Is(err, logservice.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full disk answers %v", err)
	}
	if err := e.Check(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the health of a full disk: %v", err)
	}
	for round := range 2 {
		for i := range 10 {
			key := fmt.Sprint("k", round*10+i)
			if err := e.Close(t.Context(), id(key), logs.Closing{}); err != nil {
				t.Fatalf("closing %s on a full disk: %v", key, err)
			}
			if i%2 == 0 {
				want[key].closed = true
				continue
			}
			if err := e.Delete(t.Context(), id(key)); err != nil {
				t.Fatalf("deleting %s on a full disk: %v", key, err)
			}
			want[key].closed, want[key].deleted = true, true
		}
		if round == 0 { // a restart does not need space
			_ = e.Stop()
			e = openOn(t, d, 16<<10)
		}
		check(t, e, want)
	}
	d.mu.Lock()
	full = false
	d.mu.Unlock()
	e.wal.recover()
	if err := e.Check(t.Context()); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	mustAppend(t, e, "big", want["big"].lines+1, 40)
	want["big"].lines += 40
	check(t, e, want)
	_ = e.Stop()
	e = openOn(t, d, 16<<10)
	check(t, e, want)
	_ = e.Stop()
}

func TestATornEndOnAFullDiskStopsNoStart(t *testing.T) {
	d, want := small(t)
	f := d.safe[segmentName(1)]
	f.safe = append(f.safe, make([]byte, 512)...)
	copy(f.safe[len(f.safe)-512:], "half a group")
	f.size = int64(len(f.safe))
	d.fault = func(op, _ string) error {
		if op == "create" {
			return syscall.ENOSPC
		}
		return nil
	}
	e := openOn(t, d, 2<<10)
	check(t, e, want)
	_ = e.Stop()
}

// TestACloseIsNotHeldToTheAppendsOfItsGroup lets a close share a group with an
// append that the full disk has no space for.
func TestACloseIsNotHeldToTheAppendsOfItsGroup(t *testing.T) {
	h := &hanging{disk: newDisk()}
	e := openOn(t, h, 16<<10)
	defer e.Stop()
	for _, key := range []string{"first", "big", "small"} {
		mustOpen(t, e, key)
	}
	release := make(chan struct{})
	h.release.Store(&release)
	done := make(chan error, 3)
	go func() { _, err := e.Append(t.Context(), id("first"), lines("first", 1, 1)); done <- err }()
	staged := func(n int) {
		for {
			e.wal.mu.Lock()
			ready := e.wal.writing != nil && len(e.wal.queue[0].items) >= n
			e.wal.mu.Unlock()
			if ready {
				return
			}
			runtime.Gosched()
		}
	}
	staged(0)
	go func() { _, err := e.Append(t.Context(), id("big"), lines("big", 1, 600)); done <- err }()
	staged(1)
	closed := make(chan error, 1)
	go func() { closed <- e.Close(t.Context(), id("small"), logs.Closing{}) }()
	staged(2)
	h.mu.Lock()
	h.fault = func(op, _ string) error {
		if op == "create" {
			return syscall.ENOSPC
		}
		return nil
	}
	h.mu.Unlock()
	h.release.Store(nil)
	close(release)
	if err := <-done; err != nil {
		t.Fatalf("the append before: %v", err)
	}
	if err := <-done; !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the append without space: %v", err)
	}
	if err := <-closed; err != nil {
		t.Fatalf("the close in its group: %v", err)
	}
}
