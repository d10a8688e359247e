package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// events reads a log from a position to its end. Each event is its id and the
// text of its line, or what is lost.
func (r *rig) events(id logservice.ID, from service.From) (events []string) {
	r.t.Helper()
	c, _, err := r.Follow(r.t.Context(), id, from)
	r.must(err)
	defer c.Close()
	return r.rest(c)
}

// rest reads what a reader has not read yet.
func (r *rig) rest(c logs.Reader) (events []string) {
	r.t.Helper()
	for {
		batches, err := c.Next(r.t.Context())
		if errors.Is(err, io.EOF) {
			return events
		}
		r.must(err)
		if len(batches) == 0 {
			<-c.Ready()
		}
		for _, b := range batches {
			seq := b.First
			for line := range bytes.Lines(b.Data) {
				if b.Gap {
					seq = b.Last()
				}
				p := logservice.Position{Attempt: c.Attempt(), Sequence: seq}
				events = append(events, p.String()+" "+textOf(r.t, line))
				seq++
			}
		}
	}
}

func textOf(t testing.TB, line []byte) string {
	t.Helper()
	var l logservice.Line
	if err := l.UnmarshalJSON(line); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return strings.TrimSuffix(l.Out, "\n")
}

func at(attempt, sequence int64) service.From {
	return service.From{Position: logservice.Position{Attempt: attempt, Sequence: sequence}}
}

func only(attempt int64) service.From {
	f := at(attempt, 0)
	f.Only = true
	return f
}

func (r *rig) wantEvents(what string, got []string, want ...string) {
	r.t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		r.t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

// run opens a log, appends a line with that text, and closes it.
func (r *rig) run(id logservice.ID, text string) {
	r.t.Helper()
	r.must(r.Open(r.t.Context(), id, logs.OpenOptions{}))
	r.say(id, text)
	r.must(r.Close(r.t.Context(), id, logs.ArchiveIfMissing))
	r.wantIdle()
}

// say appends lines with these texts.
func (r *rig) say(id logservice.ID, texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		_, err := r.Append(r.t.Context(), id, logs.Lines{Data: fmt.Appendf(nil, `{"out":%q}`+"\n", text+"\n"), Count: 1})
		r.must(err)
	}
}

func TestEachOpeningAfterAnEndIsAnAttempt(t *testing.T) {
	r := newRig(t)
	for n, text := range []string{"one", "two", "three"} {
		r.run(id, text)
		r.wantEvents("by default", r.events(id, service.From{}), logservice.Position{Attempt: int64(n + 1), Sequence: 1}.String()+" "+text)
	}
	r.wantEvents("the first", r.events(id, only(1)), "1 one")
	r.wantEvents("the second", r.events(id, only(2)), "2-1 two")
	if _, _, err := r.Follow(t.Context(), id, only(4)); !errors.Is(err, logservice.ErrStreamNotFound) {
		t.Error("an attempt that there is not:", err)
	}
	if _, err := r.Blob(t.Context(), id, 4); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Error("an attempt that there is not:", err)
	}
	r.wantAttempt(id, 1, []byte(`{"out":"one\n"}`+"\n"))
	for e, err := range r.ListBlobs(t.Context(), id.Account, "") {
		r.must(err)
		if e.Attempts != 3 || e.Info.Attempt != 3 {
			t.Errorf("listed as %+v", e)
		}
	}
	r.must(r.DeleteBlob(t.Context(), id))
	if _, err := r.Blob(t.Context(), id, 1); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Error("after a deletion:", err)
	}
	r.run(id, "again")
	r.wantEvents("after a deletion", r.events(id, service.From{}), "1 again")
}

func TestAnAttemptWithoutLinesHidesNothing(t *testing.T) {
	r := newRig(t)
	r.run(id, "one")
	r.must(r.Open(t.Context(), id, logs.OpenOptions{})) // or a late retry of the first opening
	follower, _, err := r.Follow(t.Context(), id, service.From{})
	r.must(err)
	defer follower.Close()
	if b, err := follower.Next(t.Context()); err != nil || len(b) != 1 || follower.Attempt() != 1 {
		t.Fatalf("%v, %v of attempt %d", b, err, follower.Attempt())
	}
	if b, err := follower.Next(t.Context()); err != nil || len(b) != 0 {
		t.Fatalf("%v, %v: want nothing yet", b, err)
	}
	existing := service.From{Existing: true}
	r.wantEvents("what exists", r.events(id, existing), "1 one")
	if data, _ := r.content(id); !strings.Contains(string(data), "one") {
		t.Errorf("the blob is %q", data)
	}
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	r.wantIdle()
	r.wantEvents("the follower", r.rest(follower))
	r.wantEvents("later", r.events(id, service.From{}), "1 one")
	r.run(id, "two")
	r.wantEvents("the next", r.events(id, service.From{}), "2-1 two")
}

func TestPositionsBelongToTheirAttempt(t *testing.T) {
	r := newRig(t)
	r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
	r.say(id, "a", "b", "c")
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	r.wantIdle()
	r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
	r.say(id, "d")
	for what, live := range map[string]bool{"live": true, "archived": false} {
		if !live {
			r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
			r.wantIdle()
		}
		from := func(f service.From) service.From {
			f.Existing = true
			return f
		}
		r.wantEvents(what+", after the last line", r.events(id, from(at(1, 3))), "2-0 [attempt 2 begins]", "2-1 d")
		r.wantEvents(what+", inside", r.events(id, from(at(1, 1))), "2 b", "3 c", "2-0 [attempt 2 begins]", "2-1 d")
		r.wantEvents(what+", past its end", r.events(id, from(at(1, 10))), "2-0 [attempt 2 begins]", "2-1 d")
		r.wantEvents(what+", in the second", r.events(id, from(at(2, 0))), "2-1 d")
		r.wantEvents(what+", at the end", r.events(id, from(at(2, 1))))
		r.wantEvents(what+", in one that there is not", r.events(id, from(at(9, 5))), "2-1 d")
		r.wantEvents(what+", the first alone", r.events(id, from(only(1))), "1 a", "2 b", "3 c")
	}
}

func TestATailGoesOnAfterATruncation(t *testing.T) {
	r := newRig(t)
	r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
	r.say(id, "a")
	c, _, err := r.Follow(t.Context(), id, service.From{})
	r.must(err)
	defer c.Close()
	if b, err := c.Next(t.Context()); err != nil || len(b) != 1 {
		t.Fatal(b, err)
	}
	r.must(r.Open(t.Context(), id, logs.OpenOptions{Truncate: true}))
	r.say(id, "b")
	if b, err := c.Next(t.Context()); err != nil || len(b) != 1 || b[0].Begins != 2 || c.Attempt() != 2 {
		t.Fatalf("%+v, %v: want the announcement of attempt 2", b, err)
	}
	c.Rewind(-1) // the peer did not take it
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	r.wantEvents("it", r.rest(c), "2-0 [attempt 2 begins]", "2-1 b")
}

// A writer that paused for too long goes on in its attempt: soon after, or with
// the next sequence at any time.
func TestAWriterThatGoesOnContinuesItsAttempt(t *testing.T) {
	for _, how := range []string{"soon", "with the next sequence"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t)
			r.abandon(id, 10)
			r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
			if how == "soon" {
				r.append(id, 10, 5)
			} else {
				r.must(r.engine.Open(t.Context(), id, logs.OpenOptions{Truncate: true, Attempt: 2})) // as after the grace
				next, err := r.Append(t.Context(), id, logs.Lines{Data: jsonLines(10, 5), Count: 5, Offset: 11})
				if err != nil || next != 16 {
					t.Fatal(next, err)
				}
			}
			if got := r.events(id, service.From{Existing: true}); len(got) != 15 || got[14] != "15 line 14 of the log" {
				t.Errorf("while it is live: %q", got)
			}
			r.must(r.PutBlob(t.Context(), id, bytes.NewReader(jsonLines(8, 9)), false))
			r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
			r.wantIdle()
			if c := r.wantContent(id, jsonLines(0, 17)); c.Incomplete || c.Attempt != 1 {
				t.Errorf("attempt %d, incomplete %v", c.Attempt, c.Incomplete)
			}
		})
	}
}

// The store cannot be asked which attempts there are: openings go on, and what
// is stored is not replaced.
func TestALogThatIsOpenedWhileTheStoreIsAwayIsALaterAttempt(t *testing.T) {
	var store *silentStore
	r := newRig(t, func(c *service.Config) {
		store = &silentStore{Store: c.Store}
		c.Store = store
	})
	r.run(id, "one")
	store.away = true
	r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
	r.say(id, "two")
	store.away = false
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	r.wantIdle()
	r.wantEvents("the newest", r.events(id, service.From{}), "2-1 two")
	r.wantEvents("the first", r.events(id, only(1)), "1 one")
}

type silentStore struct {
	logs.Store
	away bool
}

func (s *silentStore) Attempts(ctx context.Context, id logservice.ID) ([]logs.BlobInfo, error) {
	if s.away {
		return nil, &logservice.UnavailableError{Cause: errors.New("away"), RetryAfter: time.Second}
	}
	return s.Store.Attempts(ctx, id)
}

// A crash between storing an archive and deleting its stream repeats the
// archiving, which changes nothing.
func TestArchivingAgainChangesNothing(t *testing.T) {
	s := &stuckStreams{}
	r := newRig(t, func(c *service.Config) { s.Streams, c.Streams = c.Streams, s })
	want := jsonLines(0, 12)
	r.write(id, 10)
	r.put(id, string(jsonLines(3, 9)))
	s.stuck.Store(true)
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	eventually(t, "it is archived", func() bool {
		all, err := r.bolt.Attempts(t.Context(), id)
		r.must(err)
		return len(all) == 1 && all[0].Archive
	})
	after := r.crash()
	after.wantIdle()
	after.wantContent(id, want)
	if all, err := after.bolt.Attempts(t.Context(), id); err != nil || len(all) != 1 {
		t.Errorf("%d attempts, %v", len(all), err)
	}
	s.stuck.Store(false)
	r.wantIdle()
	r.wantContent(id, want)
}
