package streamtest

import (
	"fmt"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func testRestart(t *testing.T, b Backend) {
	if b.Reopen == nil {
		t.Skip("the engine stores nothing")
	}
	restart := func(t *testing.T, e *engine) {
		t.Helper()
		e.Streams = b.Reopen(t, e.Streams)
	}

	t.Run("an empty engine starts empty", func(t *testing.T) {
		e := start(t, b)
		restart(t, &e)
		if n := len(e.list(t, logs.Filter{Account: "acc"})); n != 0 {
			t.Fatalf("%d streams out of nowhere", n)
		}
	})

	t.Run("open streams keep their lines and continue", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("empty"))
		e.open(t, id("a"))
		var all []string
		for i := range 20 {
			lines := w.Lines(1 + i)
			all = append(all, lines...)
			e.append(t, id("a"), batch(lines), int64(len(all)+1))
			if i%5 == 0 {
				restart(t, &e)
				e.contents(t, id("a"), all)
			}
		}
		e.append(t, id("empty"), logs.Lines{}, 1)
		r := e.follow(t, id("a"), 17)
		defer r.Close()
		r.expect(t, all[17:])
		wantInfo(t, e, id("a"), int64(len(all)), int64(len(join(all))))
	})

	t.Run("a retry is recognized, with an offset and without", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		s := e.appendMany(t, id("a"))
		restart(t, &e)
		s.retry(t, e)
		all, next := s.all, s.next()
		e.append(t, id("a"), at(1, all), next)
		e.wantGap(t, next+1, w.Lines(1), next)
		more := w.Lines(1)
		e.append(t, id("a"), at(next-1, concat(all[len(all)-1:], more)), next+1)
		e.contents(t, id("a"), concat(all, more))
	})

	t.Run("truncated and deleted lines stay gone", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		for _, log := range []string{"truncated", "deleted", "deleted and made again", "stays"} {
			e.open(t, id(log))
			e.append(t, id(log), batch(w.Lines(5)), 6)
		}
		kept := w.Lines(2)
		e.truncate(t, id("truncated"))
		e.append(t, id("truncated"), batch(kept), 3)
		e.remove(t, id("deleted"))
		e.remove(t, id("deleted and made again"))
		e.open(t, id("deleted and made again"))
		for range 2 {
			restart(t, &e)
			e.contents(t, id("truncated"), kept)
			e.contents(t, id("deleted and made again"), nil)
			if in, _ := e.info(t, id("stays")); in.Lines != 5 {
				t.Fatalf("the stream that stays has %d lines, want 5", in.Lines)
			}
			_, err := e.Append(t.Context(), id("deleted"), batch(w.Lines(1)))
			wantErr(t, err, logservice.ErrStreamNotFound, "append to a deleted stream after a restart")
		}
	})

	t.Run("closed streams stay closed, and how", func(t *testing.T) {
		if b.Remote {
			t.Skip("closing deletes")
		}
		e, w := start(t, b), Writer{Name: "w"}
		ways := []logs.Closing{
			{},
			{Archive: logs.ArchiveAlways},
			{Archive: logs.ArchiveNever},
			{Archive: logs.ArchiveIfMissing, Incomplete: true},
			{Archive: logs.ArchiveAlways, Incomplete: true},
		}
		lines := w.Lines(4)
		for i, how := range ways {
			log := id(fmt.Sprint("closed/", i))
			e.open(t, log)
			e.append(t, log, batch(lines), 5)
			if err := e.Close(t.Context(), log, how); err != nil {
				t.Fatal(err)
			}
		}
		restart(t, &e)
		for i, how := range ways {
			log := id(fmt.Sprint("closed/", i))
			in, ok := e.info(t, log)
			if !ok || !in.Closed || in.How != how || in.Lines != 4 {
				t.Fatalf("closed stream is (%v) %+v after the restart, want closed as %+v with 4 lines", ok, in, how)
			}
			_, err := e.Append(t.Context(), log, batch(lines))
			wantErr(t, err, logservice.ErrStreamNotFound, "append to a closed stream after a restart")
			r := e.follow(t, log, 1)
			r.expect(t, lines[1:])
			r.expectEOF(t)
			r.Close()
			e.remove(t, log)
		}
		restart(t, &e)
		if all := e.list(t, logs.Filter{}); len(all) != 0 {
			t.Fatalf("%d streams are back after they were deleted: %+v", len(all), all)
		}
	})

	t.Run("many streams of many sizes", func(t *testing.T) {
		e := start(t, b)
		n := Scale(50, 200, 2000)
		want := make([][]string, n)
		for i := range n {
			e.open(t, id(key("s", i)))
		}
		for round := range 3 {
			for i := range n {
				w := Writer{Name: fmt.Sprint(i, " ", round), Pad: i * 7 % 2000}
				lines := w.Lines(1 + i%4)
				want[i] = append(want[i], lines...)
				e.append(t, id(key("s", i)), batch(lines), int64(len(want[i])+1))
			}
		}
		restart(t, &e)
		for i := range n {
			e.contents(t, id(key("s", i)), want[i])
		}
	})
}
