package service_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/stream/streamtest"
)

func TestAnEmptyUploadTakesNothingAway(t *testing.T) {
	r := newRig(t)
	want := r.write(id, 5000)
	for _, when := range []string{"open", "archived"} {
		if err := r.PutBlob(t.Context(), id, strings.NewReader(""), false); !errors.Is(err, logservice.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", when, err)
		}
		if when == "open" {
			r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
			r.wantIdle()
		}
	}
	r.wantContent(id, want)
}

// A runner uploads only the end of its log.
func TestAnUploadOfTheEndIsJoinedWithWhatWasStreamed(t *testing.T) {
	streamed := streamtest.Scale(5_000, 10_000, 50_000)
	kept := streamed * 27_322 / 50_000
	all := jsonLines(0, streamed+10) // ten lines that could not be streamed
	for _, when := range []string{"before the close", "after it"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t)
			r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
			for i := range streamed / 1000 {
				r.append(id, i*1000, 1000)
			}
			c, _, err := r.Follow(t.Context(), id, at(1, int64(streamed/5)))
			r.must(err)
			defer c.Close()
			upload := func() {
				t.Helper()
				r.must(r.PutBlob(t.Context(), id, bytes.NewReader(all[len(jsonLines(0, streamed-kept)):]), false))
			}
			if when == "before the close" {
				upload()
			}
			r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
			r.wantIdle()
			if when == "after it" {
				upload()
				upload() // again changes nothing
			}
			r.wantContent(id, all)
			if got := r.rest(c); len(got) != streamed*4/5 || got[0] != fmt.Sprintf("%d line %d of the log", streamed/5+1, streamed/5) {
				t.Errorf("a reader that was connected gets %d lines from %q", len(got), got[0])
			}
			resumed := r.events(id, at(1, int64(streamed*3/5)))
			if len(resumed) != streamed*2/5+10 || resumed[0] != fmt.Sprintf("%d line %d of the log", streamed*3/5+1, streamed*3/5) {
				t.Errorf("one that resumes gets %d lines from %q", len(resumed), resumed[0])
			}
			r.wantEvents("at the end", r.events(id, at(1, int64(streamed+9))), fmt.Sprintf("%d line %d of the log", streamed+10, streamed+9))
		})
	}
}

// What neither has is a gap: a client with a limit streams the start of its log
// and uploads the end.
func TestAGapIsShownBetweenWhatWasStreamedAndWhatWasUploaded(t *testing.T) {
	r := newRig(t)
	r.write(id, 10)
	r.must(r.Finish(t.Context(), id, jsonLines(15, 3)))
	r.wantIdle()
	got := r.events(id, at(1, 9))
	r.wantEvents("it", got, "10 line 9 of the log", "15 [5 lines lost]", "16 line 15 of the log", "17 line 16 of the log", "18 line 17 of the log")
}

// A batch that was on its way when its log ended is a part of it, and does not
// hide it.
func TestALateBatchIsJoined(t *testing.T) {
	r := newRig(t)
	r.write(id, 4)
	r.must(r.Finish(t.Context(), id, jsonLines(0, 8)))
	r.wantIdle()
	r.must(r.AddLate(t.Context(), id, jsonLines(6, 3))) // two that were uploaded, one that was not
	r.wantContent(id, jsonLines(0, 9))
	r.wantNoStream(id)
	if err := r.AddLate(t.Context(), logservice.ID{Account: "acme", Key: "new"}, jsonLines(0, 1)); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Error("a log that begins:", err)
	}
}

func TestAnUploadThatSharesNothingIsAnAttempt(t *testing.T) {
	for _, when := range []string{"before the close", "after it"} {
		r := newRig(t)
		streamed := r.write(id, 10)
		if when == "after it" {
			r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
			r.wantIdle()
		}
		r.put(id, "something else\n")
		if when == "before the close" {
			r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
			r.wantIdle()
		}
		r.wantContent(id, []byte("something else\n"))
		r.wantAttempt(id, 1, streamed)
		r.put(id, "once more\n") // replaces what was uploaded
		r.wantContent(id, []byte("once more\n"))
		r.wantAttempt(id, 1, streamed)
		if _, err := r.Blob(t.Context(), id, 3); !errors.Is(err, logservice.ErrBlobNotFound) {
			t.Errorf("%s: a third attempt: %v", when, err)
		}
	}
}

// The same where the first attempt was an upload alone.
func TestAnUploadIsNotReplacedByALogThatIsOpenedWhileTheStoreIsAway(t *testing.T) {
	var store *silentStore
	r := newRig(t, func(c *service.Config) {
		store = &silentStore{Store: c.Store}
		c.Store = store
	})
	r.put(id, "uploaded\n")
	store.away = true
	r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
	r.say(id, "streamed")
	store.away = false
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	r.wantIdle()
	r.wantAttempt(id, 1, []byte("uploaded\n"))
	r.wantEvents("the newest", r.events(id, service.From{}), "2-1 streamed")
}

// What a truncation drops leaves nothing in the store.
func TestATruncationDropsWhatWasUploaded(t *testing.T) {
	r := newRig(t)
	r.write(id, 3)
	r.put(id, string(jsonLines(0, 5)))
	r.must(r.Open(t.Context(), id, logs.OpenOptions{Truncate: true}))
	for e, err := range r.bolt.List(t.Context(), logservice.InternalAccount, "uploads") {
		t.Errorf("%s is left, %v", e.Key, err)
	}
	r.say(id, "x")
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	r.wantIdle()
	r.wantEvents("the log", r.events(id, service.From{}), "2-1 x")
}
