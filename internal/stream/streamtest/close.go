package streamtest

import (
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func testClose(t *testing.T, b Backend) {
	t.Run("what does not exist is not found", func(t *testing.T) {
		e := start(t, b)
		err := e.Close(t.Context(), id("a"), logs.Closing{})
		wantErr(t, err, logservice.ErrStreamNotFound, "close of an unknown stream")
		if !b.Remote {
			wantErr(t, e.Delete(t.Context(), id("a")), logservice.ErrStreamNotFound, "delete of an unknown stream")
		}
	})

	t.Run("an empty stream ends", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		e.close(t, id("a"))
		r.expectEOF(t)
	})

	t.Run("the end comes after the last line, not before", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w", Pad: 900}
		e.open(t, id("a"))
		lines := w.Lines(3000) // more than one Next returns
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		e.append(t, id("a"), batch(lines), 3001)
		e.close(t, id("a"))
		r.expect(t, lines)
		r.expectEOF(t)
	})

	if b.Remote {
		return // the rest concerns closed streams that still exist
	}

	t.Run("a closed stream is read until it is deleted", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		lines := w.Lines(5)
		e.append(t, id("a"), batch(lines), 6)
		e.close(t, id("a"))
		for range 3 {
			e.contents(t, id("a"), lines)
		}
		e.remove(t, id("a"))
		_, err := e.Follow(t.Context(), id("a"), 0)
		wantErr(t, err, logservice.ErrStreamNotFound, "follow of a deleted stream")
		_, err = e.Append(t.Context(), id("a"), batch(w.Lines(1)))
		wantErr(t, err, logservice.ErrStreamNotFound, "append to a deleted stream")
		wantErr(t, e.Close(t.Context(), id("a"), logs.Closing{}), logservice.ErrStreamNotFound, "close of a deleted stream")
		if _, ok := e.info(t, id("a")); ok {
			t.Fatalf("a deleted stream is listed")
		}
	})

	t.Run("closing again changes nothing", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		e.append(t, id("a"), batch(w.Lines(2)), 3)
		first := logs.Closing{Archive: logs.ArchiveAlways, Incomplete: true}
		for _, how := range []logs.Closing{first, {}, {Archive: logs.ArchiveNever}} {
			if err := e.Close(t.Context(), id("a"), how); err != nil {
				t.Fatalf("close: %v", err)
			}
			if in, _ := e.info(t, id("a")); !in.Closed || in.How != first {
				t.Fatalf("closed stream is described as %+v, want closed by the first close %+v", in, first)
			}
		}
	})

	t.Run("cursors that exist read a deleted stream to its end", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w", Pad: 900}
		e.open(t, id("a"))
		lines := w.Lines(2000)
		e.append(t, id("a"), batch(lines), 2001)
		fresh, middle, done := e.follow(t, id("a"), 0), e.follow(t, id("a"), 0), e.follow(t, id("a"), 1990)
		defer fresh.Close()
		defer middle.Close()
		defer done.Close()
		part, _, err := middle.wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done.expect(t, lines[1990:])
		e.close(t, id("a"))
		e.remove(t, id("a"))
		e.open(t, id("a")) // a new stream of that name does not affect them
		e.append(t, id("a"), batch(w.Lines(3)), 4)
		fresh.expect(t, lines)
		fresh.expectEOF(t)
		middle.expect(t, lines[len(part):])
		middle.expectEOF(t)
		done.expectEOF(t)
	})

	t.Run("an open stream may be deleted, its cursors reach the end", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		lines := w.Lines(3)
		e.append(t, id("a"), batch(lines), 4)
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		e.remove(t, id("a"))
		r.expect(t, lines)
		r.expectEOF(t)
		_, err := e.Append(t.Context(), id("a"), batch(w.Lines(1)))
		wantErr(t, err, logservice.ErrStreamNotFound, "append to a deleted stream")
	})
}
