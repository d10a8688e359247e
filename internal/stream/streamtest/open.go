package streamtest

import (
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func testOpen(t *testing.T, b Backend) {
	t.Run("a new stream is empty and its next line is 1", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		e.append(t, id("a"), logs.Lines{}, 1)
		e.contents(t, id("a"), nil)
	})

	t.Run("an open stream that is opened again keeps its lines and tailers", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		before, after := w.Lines(3), w.Lines(2)
		e.append(t, id("a"), batch(before), 4)
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		e.open(t, id("a"))
		e.append(t, id("a"), batch(after), 6)
		r.expect(t, concat(before, after))
		e.contents(t, id("a"), concat(before, after))
		e.close(t, id("a"))
		r.expectEOF(t)
	})

	t.Run("truncate ends the old tailers and starts at 1", func(t *testing.T) {
		if b.Remote {
			t.Skip("the service goes on in the next attempt")
		}
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		before, after := w.Lines(3), w.Lines(2)
		e.append(t, id("a"), batch(before), 4)
		read, unread := e.follow(t, id("a"), 0), e.follow(t, id("a"), 1)
		defer read.Close()
		defer unread.Close()
		read.expect(t, before)
		ready := read.cur.Ready()
		e.truncate(t, id("a"))
		waitFor(t, ready, "a tailer of the truncated stream is woken")
		read.expectEOF(t)
		unread.expect(t, before[1:])
		unread.expectEOF(t)
		e.append(t, id("a"), batch(after), 3)
		e.contents(t, id("a"), after)
	})

	t.Run("truncate forgets the batches it would recognize", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		lines := w.Lines(3)
		e.append(t, id("a"), batch(lines), 4)
		e.truncate(t, id("a"))
		e.append(t, id("a"), batch(lines), 4)
		e.contents(t, id("a"), lines)
	})

	t.Run("truncate of what does not exist makes a stream", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.truncate(t, id("a"))
		e.append(t, id("a"), batch(w.Lines(1)), 2)
	})

	t.Run("a closed stream cannot be opened until it is deleted", func(t *testing.T) {
		if b.Remote {
			t.Skip("closing deletes")
		}
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		e.append(t, id("a"), batch(w.Lines(2)), 3)
		e.close(t, id("a"))
		for _, truncate := range []bool{false, true} {
			err := e.Open(t.Context(), id("a"), logs.OpenOptions{Truncate: truncate})
			wantErr(t, err, logservice.ErrUnavailable, "open of a closed stream")
		}
		e.remove(t, id("a"))
		e.open(t, id("a"))
		e.append(t, id("a"), logs.Lines{}, 1)
	})

	t.Run("a name that was deleted starts again", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		lines := w.Lines(2)
		for range 3 {
			e.open(t, id("a"))
			e.append(t, id("a"), batch(lines), 3) // no duplicate: another stream
			e.contents(t, id("a"), lines)
			e.close(t, id("a"))
			if !b.Remote {
				e.remove(t, id("a"))
			}
		}
	})
}
