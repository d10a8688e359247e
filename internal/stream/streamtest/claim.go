package streamtest

import (
	"errors"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func testClaim(t *testing.T, b Backend) {
	if b.Remote {
		t.Skip("claims are between a service and its engine")
	}
	claim := func(t *testing.T, e engine, id logservice.ID) logs.Claim {
		t.Helper()
		c, err := e.Claim(t.Context(), id)
		if err != nil {
			t.Fatalf("claim of %q: %v", id, err)
		}
		return c
	}

	t.Run("only a closed stream can be claimed", func(t *testing.T) {
		e := start(t, b)
		_, err := e.Claim(t.Context(), id("a"))
		wantErr(t, err, logservice.ErrStreamNotFound, "claim of an unknown stream")
		e.open(t, id("a"))
		_, err = e.Claim(t.Context(), id("a"))
		wantErr(t, err, logservice.ErrStreamNotFound, "claim of an open stream")
		e.close(t, id("a"))
		claim(t, e, id("a"))
		e.remove(t, id("a"))
		_, err = e.Claim(t.Context(), id("a"))
		wantErr(t, err, logservice.ErrStreamNotFound, "claim of a deleted stream")
	})

	t.Run("reports how the stream was closed, remains valid, and deletes it", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		lines := w.Lines(3)
		e.append(t, id("a"), batch(lines), 4)
		how := logs.Closing{Archive: logs.ArchiveAlways, Incomplete: true}
		if err := e.Close(t.Context(), id("a"), how); err != nil {
			t.Fatal(err)
		}
		c := claim(t, e, id("a"))
		if c.How() != how {
			t.Errorf("claimed as closed %+v, want %+v", c.How(), how)
		}
		if err := c.Commit(t.Context()); err != nil {
			t.Errorf("a fresh claim: %v", err)
		}
		e.contents(t, id("a"), lines)
		c.Release(t.Context())
		c = claim(t, e, id("a"))
		if err := c.Delete(t.Context()); err != nil {
			t.Fatalf("delete: %v", err)
		}
		_, err := e.Stat(t.Context(), id("a"))
		wantErr(t, err, logservice.ErrStreamNotFound, "stat of a deleted stream")
	})

	t.Run("never deletes another stream of the same name", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		e.close(t, id("a"))
		old := claim(t, e, id("a"))
		e.remove(t, id("a"))
		e.open(t, id("a"))
		lines := w.Lines(3)
		e.append(t, id("a"), batch(lines), 4)
		wantErr(t, old.Delete(t.Context()), logservice.ErrStreamNotFound, "delete by an old claim")
		e.contents(t, id("a"), lines)
		e.close(t, id("a"))
		wantErr(t, old.Delete(t.Context()), logservice.ErrStreamNotFound, "delete by an old claim")
		e.contents(t, id("a"), lines)
	})

	t.Run("a closed stream can be taken from whoever archives it", func(t *testing.T) {
		e := start(t, b)
		_, err := e.Take(t.Context(), id("a"))
		wantErr(t, err, logservice.ErrStreamNotFound, "taking an unknown stream")
		e.open(t, id("a"))
		_, err = e.Take(t.Context(), id("a"))
		wantErr(t, err, logservice.ErrStreamNotFound, "taking an open stream")
		how := logs.Closing{Archive: logs.ArchiveAlways}
		if err := e.Close(t.Context(), id("a"), how); err != nil {
			t.Fatal(err)
		}
		claim(t, e, id("a"))
		c, err := e.Take(t.Context(), id("a"))
		if err != nil || c.How() != how {
			t.Fatalf("taken %+v, %v", c, err)
		}
		c.Release(t.Context()) // replacing the log has failed
		archiver := claim(t, e, id("a"))
		if err := archiver.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		archiver.Rollback(t.Context())
		if c, err = e.Take(t.Context(), id("a")); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
		err = archiver.Commit(t.Context())
		if !errors.Is(err, logservice.ErrStreamNotFound) && !errors.Is(err, logs.ErrClaimed) {
			t.Errorf("an archive of a deleted stream may be stored: %v", err)
		}
		wantErr(t, archiver.Delete(t.Context()), logservice.ErrStreamNotFound, "delete by the archiver")
		wantErr(t, c.Delete(t.Context()), logservice.ErrStreamNotFound, "a second delete")
		_, err = e.Take(t.Context(), id("a"))
		wantErr(t, err, logservice.ErrStreamNotFound, "taking a deleted stream")
	})

	t.Run("closed and expired streams are due, and reported to a caller of Due", func(t *testing.T) {
		e := start(t, b)
		e.open(t, id("open"))
		e.open(t, id("closed"))
		e.close(t, id("closed"))
		if err := e.Open(t.Context(), id("abandoned"), logs.OpenOptions{TTL: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		seen := map[logservice.ID]logs.Info{}
		eventually(t, "two streams are due", func() (bool, string) {
			due, err := e.Due(t.Context())
			if err != nil {
				t.Fatalf("due: %v", err)
			}
			for _, info := range due {
				seen[info.ID] = info
			}
			return counted(len(seen), 2)
		})
		if !seen[id("closed")].Closed || seen[id("abandoned")].Closed || seen[id("abandoned")].TTL > 0 {
			t.Errorf("due are %+v", seen)
		}
	})

	t.Run("stat and list report the same", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		_, err := e.Stat(t.Context(), id("a"))
		wantErr(t, err, logservice.ErrStreamNotFound, "stat of an unknown stream")
		e.open(t, id("a"))
		e.open(t, id("a/b"))
		e.append(t, id("a"), batch(w.Lines(2)), 3)
		got, err := e.Stat(t.Context(), id("a"))
		want, _ := e.info(t, id("a"))
		got.TTL, want.TTL = 0, 0
		if err != nil || got != want || got.Lines != 2 {
			t.Errorf("stat reports %+v and %v, list %+v", got, err, want)
		}
	})
}
