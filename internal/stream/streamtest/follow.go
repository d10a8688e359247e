package streamtest

import (
	"io"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func testFollow(t *testing.T, b Backend) {
	t.Run("a stream that nobody opened is not found", func(t *testing.T) {
		e := start(t, b)
		_, err := e.Follow(t.Context(), id("a"), 0)
		wantErr(t, err, logservice.ErrStreamNotFound, "follow of an unknown stream")
	})

	t.Run("from after any line, open and closed", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		var all []string
		for _, n := range []int{1, 5, 2, 7} {
			lines := w.Lines(n)
			all = append(all, lines...)
			e.append(t, id("a"), batch(lines), int64(len(all)+1))
		}
		var readers []*reader
		for after := range len(all) + 1 {
			r := e.follow(t, id("a"), int64(after))
			defer r.Close()
			r.expect(t, all[after:])
			readers = append(readers, r, e.follow(t, id("a"), int64(after)))
		}
		e.close(t, id("a"))
		for i, r := range readers {
			if i%2 == 1 { // has read nothing yet
				defer r.Close()
				r.expect(t, all[r.after:])
			}
			r.expectEOF(t)
		}
		if b.Remote {
			return // the stream is deleted
		}
		for after := range len(all) + 1 {
			r := e.follow(t, id("a"), int64(after))
			defer r.Close()
			r.expect(t, all[after:])
			r.expectEOF(t)
		}
	})

	t.Run("from inside one large append", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w", Pad: 500}
		e.open(t, id("a"))
		all := w.Lines(2000) // 1.3 MB: several reads
		e.append(t, id("a"), batch(all), 2001)
		for _, after := range []int64{1, 2, 499, 500, 777, 1000, 1998, 1999, 2000} {
			r := e.follow(t, id("a"), after)
			r.expect(t, all[after:])
			r.Close()
		}
	})

	t.Run("a cursor at the end gets what comes next, line by line", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		for i := range 100 {
			line := w.Lines(1)
			e.append(t, id("a"), batch(line), int64(i+2))
			r.expect(t, line)
		}
		e.close(t, id("a"))
		r.expectEOF(t)
	})

	t.Run("a cursor beyond the end waits for the line after it", func(t *testing.T) {
		if b.Remote {
			t.Skip("a remote reader cannot be known to have arrived")
		}
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		lines := w.Lines(6)
		e.append(t, id("a"), batch(lines[:2]), 3)
		r := e.follow(t, id("a"), 4)
		defer r.Close()
		r.expectNothing(t)
		e.append(t, id("a"), batch(lines[2:4]), 5)
		r.expectNothing(t)
		e.append(t, id("a"), batch(lines[4:]), 7)
		r.expect(t, lines[4:])
		past := e.follow(t, id("a"), 99)
		defer past.Close()
		e.close(t, id("a"))
		past.expectEOF(t)
	})

	t.Run("readers at different places do not disturb each other", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w", Pad: 100}
		e.open(t, id("a"))
		var all []string
		readers := []*reader{e.follow(t, id("a"), 0), e.follow(t, id("a"), 0), e.follow(t, id("a"), 0)}
		at := make([]int, len(readers))
		for i := range 60 {
			lines := w.Lines(50)
			all = append(all, lines...)
			e.append(t, id("a"), batch(lines), int64(len(all)+1))
			for n, r := range readers {
				if i%(n*7+1) == 0 {
					r.expect(t, all[at[n]:])
					at[n] = len(all)
				}
			}
		}
		for n, r := range readers {
			defer r.Close()
			r.expect(t, all[at[n]:])
			r.expectUnchanged(t)
		}
	})
}

func testReady(t *testing.T, b Backend) {
	t.Run("not while there is nothing, then when a line comes", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		for i := range 5 {
			ready := r.cur.Ready()
			wantWaiting(t, ready, "the cursor is at the end")
			r.expectNothing(t)
			line := w.Lines(1)
			e.append(t, id("a"), batch(line), int64(i+2))
			waitFor(t, ready, "a line has come")
			waitFor(t, r.cur.Ready(), "a line is there")
			r.expect(t, line)
		}
		ready := r.cur.Ready()
		e.close(t, id("a"))
		waitFor(t, ready, "the stream was closed")
		r.expectEOF(t)
		waitFor(t, r.cur.Ready(), "the end stays the end")
	})

	t.Run("a retry that is not stored wakes nobody into an empty read", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		lines := w.Lines(2)
		e.append(t, id("a"), batch(lines), 3)
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		r.expect(t, lines)
		e.append(t, id("a"), batch(lines), 3)
		e.append(t, id("a"), at(1, lines), 3)
		e.append(t, id("a"), logs.Lines{}, 3)
		wantWaiting(t, r.cur.Ready(), "nothing was stored")
	})

	t.Run("many wait on one line", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		var readers []*reader
		var ready []<-chan struct{}
		for range 50 {
			r := e.follow(t, id("a"), 0)
			defer r.Close()
			readers, ready = append(readers, r), append(ready, r.cur.Ready())
		}
		line := w.Lines(1)
		e.append(t, id("a"), batch(line), 2)
		for i, r := range readers {
			waitFor(t, ready[i], "a line has come")
			r.expect(t, line)
		}
	})

	t.Run("deleting wakes too", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		ready := r.cur.Ready()
		e.remove(t, id("a"))
		waitFor(t, ready, "the stream was deleted")
		r.expectEOF(t)
	})

	t.Run("a cursor may close while its channel is waited on", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		r, stays := e.follow(t, id("a"), 0), e.follow(t, id("a"), 0)
		defer stays.Close()
		r.cur.Ready()
		r.Close()
		line := w.Lines(1)
		e.append(t, id("a"), batch(line), 2)
		stays.expect(t, line)
	})

	t.Run("Next does not wait", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		for range 1000 {
			bs, err := r.cur.Next(t.Context())
			if len(bs) != 0 || err != nil {
				t.Fatalf("Next of an empty stream returns %d batches and %v (io.EOF is %v)", len(bs), err, io.EOF)
			}
		}
	})
}

// waitFor fails if ready is not closed soon.
func waitFor(t tb, ready <-chan struct{}, why string) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-ready:
	case <-limit.C:
		t.Fatalf("not ready within %v, though %s", patience, why)
	}
}

// wantWaiting fails if ready is already closed.
func wantWaiting(t tb, ready <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-ready:
		t.Fatalf("ready, though %s", why)
	default:
	}
}
