package streamtest

import (
	"testing"

	"github.com/harness/log-service/internal/logs"
)

// testAttempt checks that a stream is what it was opened as: which attempt of
// its log, and from which line on.
func testAttempt(t *testing.T, b Backend) {
	if b.Remote {
		t.Skip("the service gives the numbers")
	}
	const first = 51

	expect := func(t *testing.T, e engine, key string, attempt, first, lines int64) {
		t.Helper()
		info, err := e.Stat(t.Context(), id(key))
		if err != nil {
			t.Fatal(err)
		}
		if info.Attempt != attempt || info.First != first || info.Lines != lines {
			t.Errorf("%s is attempt %d from line %d with %d lines, want %d, %d, %d",
				key, info.Attempt, info.First, info.Lines, attempt, first, lines)
		}
		if empty := lines < first; info.Empty() != empty {
			t.Errorf("%s: empty %v, want %v", key, info.Empty(), empty)
		}
		c, err := e.Follow(t.Context(), id(key), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if n := c.(logs.Reader).Attempt(); n != attempt {
			t.Errorf("a cursor of %s is of attempt %d, want %d", key, n, attempt)
		}
	}
	open := func(t *testing.T, e engine, key string, o logs.OpenOptions) {
		t.Helper()
		if err := e.Open(t.Context(), id(key), o); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("a stream is the first attempt unless it is opened as another", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		open(t, e, "a", logs.OpenOptions{})
		open(t, e, "b", logs.OpenOptions{Attempt: 3})
		expect(t, e, "a", 1, 1, 0)
		expect(t, e, "b", 3, 1, 0)
		lines := w.Lines(2)
		e.append(t, id("b"), batch(lines), 3)
		open(t, e, "b", logs.OpenOptions{Attempt: 4, First: first})
		expect(t, e, "b", 3, 1, 2)
		e.contents(t, id("b"), lines)
	})

	t.Run("a stream that continues begins at its first line", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		open(t, e, "a", logs.OpenOptions{Attempt: 2, First: first})
		expect(t, e, "a", 2, first, first-1)
		e.append(t, id("a"), logs.Lines{}, first)
		early := e.follow(t, id("a"), 0)
		early.after = first - 1
		defer early.Close()
		lines := w.Lines(5)
		e.append(t, id("a"), at(first, lines[:2]), first+2)
		e.append(t, id("a"), at(first, lines), first+5)
		early.expect(t, lines)
		late := e.follow(t, id("a"), first+2)
		defer late.Close()
		late.expect(t, lines[3:])
		e.close(t, id("a"))
		early.expectEOF(t)
		late.expectEOF(t)
		expect(t, e, "a", 2, first, first+4)
	})

	t.Run("truncating begins the next attempt if there are lines", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		open(t, e, "a", logs.OpenOptions{Attempt: 2})
		open(t, e, "a", logs.OpenOptions{Truncate: true})
		expect(t, e, "a", 2, 1, 0)
		open(t, e, "a", logs.OpenOptions{Truncate: true, Attempt: 1, First: first})
		expect(t, e, "a", 1, first, first-1)
		e.append(t, id("a"), batch(w.Lines(1)), first+1)
		open(t, e, "a", logs.OpenOptions{Truncate: true, Attempt: 1, First: first})
		expect(t, e, "a", 2, 1, 0)
		e.append(t, id("a"), batch(w.Lines(1)), 2)
		open(t, e, "a", logs.OpenOptions{Truncate: true, Attempt: 7})
		expect(t, e, "a", 7, 1, 0)
	})

	t.Run("a restart keeps it", func(t *testing.T) {
		if b.Reopen == nil {
			t.Skip("the engine keeps nothing")
		}
		e, w := start(t, b), Writer{Name: "w"}
		open(t, e, "empty", logs.OpenOptions{Attempt: 2, First: first})
		open(t, e, "a", logs.OpenOptions{Attempt: 2, First: first})
		lines := w.Lines(3)
		e.append(t, id("a"), batch(lines), first+3)
		open(t, e, "second", logs.OpenOptions{Attempt: 2})
		for range 2 {
			e.Streams = b.Reopen(t, e.Streams)
			expect(t, e, "empty", 2, first, first-1)
			expect(t, e, "a", 2, first, first+2)
			expect(t, e, "second", 2, 1, 0)
			r := e.follow(t, id("a"), 0)
			r.after = first - 1
			r.expect(t, lines)
			r.Close()
		}
	})
}
