package streamtest

import (
	"fmt"
	"testing"

	logservice "github.com/harness/log-service"
)

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

	t.Run("a batch is known whatever is appended after it", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("a"))
		s := e.appendMany(t, id("a"))
		s.retry(t, e)
		e.append(t, id("a"), plain(`{"out":"not marked"}`), s.next()+1)
		s.all = append(s.all, `{"out":"not marked"}`)
		s.retry(t, e)
		e.contents(t, id("a"), s.all)
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

// many are the batches of many writers that share a stream.
type many struct {
	id      logservice.ID
	batches [][]string
	all     []string
}

func (s *many) next() int64 { return int64(len(s.all) + 1) }

// appendMany appends batches of many sizes, more than an engine holds in one place.
func (e engine) appendMany(t tb, id logservice.ID) *many {
	t.Helper()
	s := &many{id: id}
	for i := range Scale(50, 150, 3000) {
		w := Writer{Name: fmt.Sprint("writer ", i), Pad: i % 50}
		lines := w.Lines(1 + i%3)
		s.batches, s.all = append(s.batches, lines), append(s.all, lines...)
		e.append(t, id, batch(lines), s.next())
	}
	return s
}

// retry repeats all batches, the oldest first. None may be stored.
func (s *many) retry(t tb, e engine) {
	t.Helper()
	for _, lines := range s.batches {
		e.append(t, s.id, batch(lines), s.next())
	}
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
