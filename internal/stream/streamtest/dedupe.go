package streamtest

import (
	"fmt"
	"testing"
)

// recognized is how many batches ago a batch may have been sent to be
// recognized: as many writers may share a stream and retry at once after a
// restart.
const recognized = 8

func testDedupe(t *testing.T, b Backend) {
	t.Run("the identical batch is stored once", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		one, two := w.Lines(3), w.Lines(1)
		e.append(t, id("a"), batch(one), 4)
		e.append(t, id("a"), batch(one), 4)
		e.append(t, id("a"), batch(two), 5)
		e.append(t, id("a"), batch(two), 5)
		e.append(t, id("a"), batch(one), 5)
		e.contents(t, id("a"), concat(one, two))
	})

	t.Run(fmt.Sprintf("a batch is known for the next %d", recognized), func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		var batches [][]string
		var all []string
		for i := range 4 * recognized {
			w := Writer{Name: fmt.Sprint("writer ", i)}
			lines := w.Lines(1 + i%3)
			batches, all = append(batches, lines), append(all, lines...)
			next := int64(len(all) + 1)
			e.append(t, id("a"), batch(lines), next)
			for _, old := range batches[max(0, len(batches)-recognized):] {
				e.append(t, id("a"), batch(old), next)
			}
		}
		e.contents(t, id("a"), all)
	})

	t.Run("a batch that differs in its last byte of text is another", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		one := `{"pos":0,"time":"2026-01-02T15:04:05Z","out":"a"}`
		two := `{"pos":0,"time":"2026-01-02T15:04:05Z","out":"b"}`
		e.append(t, id("a"), batch([]string{one}), 2)
		e.append(t, id("a"), batch([]string{two}), 3)
		e.contents(t, id("a"), []string{one, two})
	})

	t.Run("part of a batch is another batch", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		one := w.Lines(3)
		e.append(t, id("a"), batch(one), 4)
		e.append(t, id("a"), batch(one[:2]), 6)
		e.append(t, id("a"), batch(one[1:]), 8)
		e.append(t, id("a"), batch(concat(one, one[:1])), 12)
		e.contents(t, id("a"), concat(one, one[:2], one[1:], one, one[:1]))
	})

	t.Run("the same batch in another stream is another", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		e.open(t, id("b"))
		one := w.Lines(2)
		e.append(t, id("a"), batch(one), 3)
		e.append(t, id("b"), batch(one), 3)
		e.contents(t, id("b"), one)
	})

	t.Run("an append that does not ask for it is stored as often as it comes", func(t *testing.T) {
		if b.Remote {
			t.Skip("the protocol always asks for it")
		}
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		one := w.Lines(2)
		e.append(t, id("a"), plain(one...), 3)
		e.append(t, id("a"), plain(one...), 5)
		e.contents(t, id("a"), concat(one, one))
	})

	t.Run("a retry while the first try is under way is stored once", func(t *testing.T) {
		e := start(t, b)
		for i := range Scale(10, 50, 500) {
			log, w := id(key("a", i)), Writer{Name: "w"}
			e.open(t, log)
			lines := w.Lines(3)
			errs := make(chan error, 4)
			for range cap(errs) {
				go func() {
					next, err := e.Append(t.Context(), log, batch(lines))
					if err == nil && next != 4 {
						err = fmt.Errorf("append answers next sequence %d, want 4", next)
					}
					errs <- err
				}()
			}
			for range cap(errs) {
				if err := <-errs; err != nil {
					t.Errorf("%v", err)
				}
			}
			e.contents(t, log, lines)
			e.remove(t, log)
		}
	})
}

// key joins parts to a key, one segment per part.
func key(parts ...any) string {
	s := ""
	for i, p := range parts {
		if i > 0 {
			s += "/"
		}
		s += fmt.Sprint(p)
	}
	return s
}
