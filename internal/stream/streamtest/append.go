package streamtest

import (
	"errors"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func testAppend(t *testing.T, b Backend) {
	t.Run("sequences are contiguous over batches of every size", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		var all []string
		for _, n := range []int{1, 2, 1, 100, 1, 1000, 3} {
			lines := w.Lines(n)
			all = append(all, lines...)
			e.append(t, id("a"), batch(lines), int64(len(all)+1))
		}
		e.contents(t, id("a"), all)
	})

	t.Run("lines come back as the bytes that were sent", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		lines := []string{
			`{}`,
			`{"out":"\u001b[31mred\u001b[0m \u2028 \u0000 \ud83d\ude00\n","level":"ERROR","time":1767366245000}`,
			`{"pos":0,"out":"<script>&amp;</script>","x":{"deep":[1,2.50,1e9,null,true]},"args":{"a":"b"}}`,
			`{"out":"` + strings.Repeat("ä€", 20_000) + `"}`,
			`{"out":"data: {}\\n\\nid: 7"}`,
		}
		e.append(t, id("a"), plain(lines...), 6)
		e.contents(t, id("a"), lines)
	})

	t.Run("nothing to append asks for the next sequence", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		e.append(t, id("a"), batch(w.Lines(4)), 5)
		e.append(t, id("a"), logs.Lines{}, 5)
		e.append(t, id("a"), logs.Lines{Dedupe: true}, 5)
	})

	t.Run("one append of several megabytes is read in several batches", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w", Pad: 1000}
		e.open(t, id("a"))
		lines := w.Lines(5000)
		e.append(t, id("a"), batch(lines), 5001)
		e.contents(t, id("a"), lines)
	})

	t.Run("lines of nearly the limit pass", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w", Pad: logservice.DefaultMaxLineBytes - 200}
		e.open(t, id("a"))
		lines := w.Lines(3)
		e.append(t, id("a"), batch(lines), 4)
		e.contents(t, id("a"), lines)
	})

	t.Run("the bytes passed in are the engine's, those read are nobody's to change", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		first := w.Lines(10)
		e.append(t, id("a"), batch(first), 11)
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		r.expect(t, first)
		for range 50 {
			e.append(t, id("a"), logs.Lines{}, r.after+1)
			more := w.Lines(10)
			e.append(t, id("a"), batch(more), r.after+11)
			r.expect(t, more)
		}
		r.expectUnchanged(t)
	})

	t.Run("a stream that nobody opened is not found", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		_, err := e.Append(t.Context(), id("a"), batch(w.Lines(1)))
		wantErr(t, err, logservice.ErrStreamNotFound, "append to an unknown stream")
		_, err = e.Append(t.Context(), id("a"), logs.Lines{})
		wantErr(t, err, logservice.ErrStreamNotFound, "empty append to an unknown stream")
	})

	t.Run("a closed stream takes no lines, not even a retry", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		lines := w.Lines(2)
		e.append(t, id("a"), batch(lines), 3)
		r := e.follow(t, id("a"), 0)
		defer r.Close()
		e.close(t, id("a"))
		for _, l := range []logs.Lines{batch(w.Lines(1)), batch(lines), at(1, lines), {}} {
			_, err := e.Append(t.Context(), id("a"), l)
			wantErr(t, err, logservice.ErrStreamNotFound, "append to a closed stream")
		}
		r.expect(t, lines)
		r.expectEOF(t)
	})
}

func testOffset(t *testing.T, b Backend) {
	t.Run("the expected offset is taken", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		one, two := w.Lines(3), w.Lines(2)
		e.append(t, id("a"), at(1, one), 4)
		e.append(t, id("a"), at(4, two), 6)
		e.contents(t, id("a"), concat(one, two))
	})

	t.Run("an offset beyond the end is refused with the expected one", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		one := w.Lines(3)
		e.wantGap(t, 2, w.Lines(1), 1)
		e.append(t, id("a"), at(1, one), 4)
		e.wantGap(t, 5, w.Lines(1), 4)
		e.wantGap(t, 1_000_000, w.Lines(1), 4)
		e.contents(t, id("a"), one)
	})

	t.Run("a retry with its offset changes nothing", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		one, two := w.Lines(3), w.Lines(2)
		e.append(t, id("a"), at(1, one), 4)
		e.append(t, id("a"), at(4, two), 6)
		e.append(t, id("a"), at(4, two), 6)
		e.append(t, id("a"), at(1, one), 6)
		e.append(t, id("a"), at(2, one[1:]), 6)
		e.contents(t, id("a"), concat(one, two))
	})

	t.Run("a retry of lines without pos and time is recognized by its offset alone", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		l := func(offset int64) logs.Lines {
			l := plain(`{"out":"x"}`, `{"out":"x"}`)
			l.Offset = offset
			return l
		}
		e.append(t, id("a"), l(1), 3)
		e.append(t, id("a"), l(1), 3)
		e.append(t, id("a"), l(3), 5)
		e.append(t, id("a"), l(2), 5)
		e.append(t, id("a"), l(4), 6)
		e.contents(t, id("a"), []string{`{"out":"x"}`, `{"out":"x"}`, `{"out":"x"}`, `{"out":"x"}`, `{"out":"x"}`})
	})

	t.Run("an offset marks lines as new, even if they repeat the last ones", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		lines := w.Lines(3)
		e.append(t, id("a"), at(1, lines), 4)
		e.append(t, id("a"), at(4, lines), 7)
		e.append(t, id("a"), at(4, lines), 7)
		e.contents(t, id("a"), concat(lines, lines))
	})

	// Every position at which a resent run of lines may begin and end, with a
	// stream made of batches of 3: the overlap is within a batch, at its edge,
	// or spans several.
	t.Run("only the new lines of an overlap are stored", func(t *testing.T) {
		e := start(t, b)
		for from := range 9 {
			for n := 1; n <= 12; n++ {
				w, log := Writer{Name: "w"}, id(key("a", from, n))
				all := w.Lines(21)
				e.open(t, log)
				for i := 0; i < 9; i += 3 {
					e.append(t, log, batch(all[i:i+3]), int64(i+4))
				}
				has := max(9, from+n)
				e.append(t, log, at(int64(from+1), all[from:from+n]), int64(has+1))
				e.contents(t, log, all[:has])
				e.remove(t, log)
			}
		}
	})
}

func (e engine) wantGap(t tb, offset int64, lines []string, expected int64) {
	t.Helper()
	_, err := e.Append(t.Context(), id("a"), at(offset, lines))
	wantErr(t, err, logservice.ErrConflict, "append that leaves a gap")
	var seq *logservice.SequenceError
	if !errors.As(err, &seq) {
		t.Fatalf("append at offset %d: got %v, want a *SequenceError", offset, err)
	}
	if seq.Expected != expected || seq.Offset != offset {
		t.Fatalf("append at offset %d: got %+v, want Expected %d", offset, *seq, expected)
	}
}
