package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
)

func TestAClosedLogIsArchivedAndReadAsItWas(t *testing.T) {
	for _, count := range []int{0, 1, 100, 30000} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			r := newRig(t)
			want := r.write(id, count)
			r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
			r.wantNoStream(id)
			c := r.wantContent(id, want)
			if !c.Archive || c.Incomplete || c.Lines != int64(count) {
				t.Errorf("%+v", c)
			}
			for _, after := range []int64{0, 1, int64(count) / 2, int64(count), int64(count) + 10} {
				cur, state, err := r.Follow(t.Context(), id, past(after))
				r.must(err)
				skip := min(after, int64(count))
				got, next := drain(t, cur, skip+1)
				cur.Close()
				if state != logservice.StateArchived || next != int64(count)+1 || !bytes.Equal(got, jsonLines(int(skip), count-int(skip))) {
					t.Errorf("after %d: %s, next %d, %d bytes", after, state, next, len(got))
				}
			}
		})
	}
}

func TestWhatACloseDoesWithTheLog(t *testing.T) {
	old := []byte("uploaded before\n")
	for _, c := range []struct {
		how    logs.Archiving
		exists bool // an attempt before it
		want   string
	}{
		{logs.ArchiveIfMissing, false, "new"}, {logs.ArchiveIfMissing, true, "new"},
		{logs.ArchiveAlways, false, "new"}, {logs.ArchiveAlways, true, "new"},
		{logs.ArchiveNever, false, ""}, {logs.ArchiveNever, true, "old"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			r := newRig(t)
			if c.exists {
				r.must(r.PutBlob(t.Context(), id, bytes.NewReader(old), false))
			}
			data := r.write(id, 10)
			r.must(r.Close(t.Context(), id, c.how))
			r.wantNoStream(id)
			exists, err := r.BlobExists(t.Context(), id)
			r.must(err)
			switch {
			case c.want == "" && exists:
				t.Error("it was stored")
			case c.want == "new":
				r.wantContent(id, data)
				if c.exists {
					r.wantAttempt(id, 1, old)
				}
			case c.want == "old":
				r.wantContent(id, old)
			}
		})
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	r := newRig(t)
	if err := r.Close(t.Context(), id, logs.ArchiveAlways); !errors.Is(err, logservice.ErrStreamNotFound) {
		t.Error("close:", err)
	}
	if _, state, err := r.Follow(t.Context(), id, past(0)); !errors.Is(err, logservice.ErrStreamNotFound) || state != logservice.StateUnknown {
		t.Error("follow:", state, err)
	}
	if _, err := r.Blob(t.Context(), id, 0); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Error("blob:", err)
	}
	r.write(id, 3) // open: not finished
	if _, err := r.Blob(t.Context(), id, 0); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Error("blob of an open stream:", err)
	}
	r.must(r.DeleteBlob(t.Context(), id))
	r.must(r.CloseUnder(t.Context(), "acme", "nothing/here", logs.ArchiveAlways))
	r.must(r.CloseAll(t.Context(), []logservice.ID{{Account: "acme", Key: "nothing"}}, logs.ArchiveAlways))
	if err := r.Zip(t.Context(), "acme", "", io.Discard); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Error("zip:", err)
	}
}

func TestAFailingStoreKeepsTheStreamUntilItWorks(t *testing.T) {
	r := newRig(t)
	down := errors.New("down")
	var failed atomic.Int64
	r.store.failWith(func(context.Context, logservice.ID) error {
		failed.Add(1)
		return &logservice.UnavailableError{Cause: down}
	})
	want := r.write(id, 500)
	closed := make(chan error, 2)
	for range 2 { // the second joins the first
		go func() { closed <- r.Close(t.Context(), id, logs.ArchiveAlways) }()
	}
	eventually(t, "two attempts", func() bool { return failed.Load() >= 2 })

	// Meanwhile the log is read from the engine, and nobody writes to it.
	r.wantContent(id, want)
	if ok, err := r.BlobExists(t.Context(), id); !ok || err != nil {
		t.Error("exists:", ok, err)
	}
	c, state, err := r.Follow(t.Context(), id, past(100))
	r.must(err)
	if _, err := r.Append(t.Context(), id, logs.Lines{Data: []byte("{}\n"), Count: 1}); !errors.Is(err, logservice.ErrStreamNotFound) {
		t.Error("append to a closed stream:", err)
	}

	r.must(<-closed) // nobody waits for a store that is down
	r.must(<-closed)
	r.store.works()
	eventually(t, "archived", func() bool { l, err := r.List(t.Context(), logs.Filter{}); r.must(err); return len(l) == 0 })
	if c := r.wantContent(id, want); !c.Archive {
		t.Error("not from the archive")
	}
	// The cursor that was taken before reads on to the end.
	if data, next := drain(t, c, 101); state != logservice.StateLive || next != 501 || !bytes.Equal(data, jsonLines(100, 400)) {
		t.Error(state, next)
	}
	c.Close()
}

func TestOpeningWaitsForTheArchivingOfTheLastStream(t *testing.T) {
	r := newRig(t)
	release, reached := make(chan struct{}), make(chan struct{}, 1)
	r.store.failWith(func(ctx context.Context, _ logservice.ID) error {
		reached <- struct{}{}
		<-release
		return nil
	})
	first := r.write(id, 5)
	closed, opened := make(chan error, 1), make(chan error, 1)
	go func() { closed <- r.Close(t.Context(), id, logs.ArchiveAlways) }()
	<-reached
	go func() { opened <- r.Open(t.Context(), id, logs.OpenOptions{}) }()
	select {
	case err := <-opened:
		t.Fatal("opened over a stream that is being archived:", err)
	case <-time.After(30 * time.Millisecond):
	}
	close(release)
	r.must(<-closed)
	r.must(<-opened)
	r.store.works()
	r.wantContent(id, first)
	second := r.append(id, 100, 7)
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	r.wantContent(id, second)
}

func TestARestartFinishesTheArchiving(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir)
	r.store.failWith(func(context.Context, logservice.ID) error { return errors.New("down") })
	other := logservice.ID{Account: "acme", Key: "never"}
	want := r.write(id, 50)
	r.write(other, 5)
	r.must(r.engine.Close(t.Context(), other, logs.Closing{Archive: logs.ArchiveNever}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r.must(r.Close(ctx, id, logs.ArchiveAlways)) // goes on in the background
	r.stop()

	r = start(t, dir)
	eventually(t, "archived", func() bool {
		infos, err := r.List(t.Context(), logs.Filter{})
		r.must(err)
		return len(infos) == 0
	})
	r.wantContent(id, want)
	if ok, err := r.BlobExists(t.Context(), other); ok || err != nil {
		t.Error("a log that was not to be archived is:", ok, err)
	}
}

func TestClosingUnderAPrefixKeepsToWholeSegments(t *testing.T) {
	r := newRig(t)
	under := []logservice.ID{{Account: "acme", Key: "run:1"}, {Account: "acme", Key: "run:1/a"}, {Account: "acme", Key: "run:1/b/c"}}
	outside := []logservice.ID{{Account: "acme", Key: "run:10"}, {Account: "acme", Key: "run:10/a"}, {Account: "other", Key: "run:1"}}
	for _, id := range append(under, outside...) {
		r.write(id, 3)
	}
	r.must(r.CloseUnder(t.Context(), "acme", "run:1", logs.ArchiveAlways))
	for _, id := range under {
		r.wantContent(id, jsonLines(0, 3))
	}
	for _, id := range outside {
		if next, err := r.Next(t.Context(), id); next != 4 || err != nil {
			t.Errorf("%v: %d, %v", id, next, err)
		}
	}
	if err := r.CloseUnder(t.Context(), "", "", logs.ArchiveNever); !errors.Is(err, logservice.ErrInvalid) {
		t.Error("closing the streams of all accounts:", err)
	}
	r.must(r.CloseAll(t.Context(), append(outside, under...), logs.ArchiveAlways))
	for _, id := range outside {
		r.wantContent(id, jsonLines(0, 3))
	}
}

func TestATailGoesOnInTheArchive(t *testing.T) {
	r := newRig(t)
	r.write(id, 1000)
	read, after := []byte(nil), int64(0)
	c, _, err := r.Follow(t.Context(), id, past(0))
	r.must(err)
	batches, err := c.Next(t.Context())
	r.must(err)
	for _, b := range batches {
		read, after = append(read, b.Data...), b.Last()
	}
	c.Close() // cut
	r.append(id, 1000, 1500)
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	c, state, err := r.Follow(t.Context(), id, past(after))
	r.must(err)
	defer c.Close()
	more, next := drain(t, c, after+1)
	if want := append(jsonLines(0, 1000), jsonLines(1000, 1500)...); state != logservice.StateArchived || next != 2501 || !bytes.Equal(append(read, more...), want) {
		t.Error("not every line, once:", state, next)
	}
}

func TestAReaderThatIsOvertakenLooksAgain(t *testing.T) {
	r, late := lateRig(t)
	r.write(id, 3)
	late.misses.Store(1)
	c, state, err := r.Follow(t.Context(), id, past(0))
	r.must(err)
	c.Close()
	if state != logservice.StateLive {
		t.Error(state)
	}
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	r.store.misses.Store(1)
	c, state, err = r.Follow(t.Context(), id, past(0))
	r.must(err)
	c.Close()
	if state != logservice.StateArchived {
		t.Error(state)
	}
	r.store.misses.Store(1)
	r.wantContent(id, jsonLines(0, 3))
	r.store.misses.Store(1)
	if ok, err := r.BlobExists(t.Context(), id); !ok || err != nil {
		t.Error("exists:", ok, err)
	}
}

func TestAStreamOpenedSinceTheListingIsNotTakenForTheOldOne(t *testing.T) {
	r, late := lateRig(t)
	r.write(id, 3)
	for _, how := range []logs.Archiving{logs.ArchiveNever, logs.ArchiveAlways} {
		late.stale.Store(&[]logs.Info{{ID: id, Closed: true, How: logs.Closing{Archive: how}, TTL: time.Hour}})
		eventually(t, "maintenance", func() bool { return late.stale.Load() == nil })
		other := logservice.ID{Account: "acme", Key: "other"}
		r.abandon(other, 1) // one maintenance round later
		if next, err := r.Next(t.Context(), id); next != 4 || err != nil {
			t.Errorf("the open stream: %d, %v", next, err)
		}
	}
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	r.wantNoStream(id)
	r.wantContent(id, jsonLines(0, 3))
}

func TestAStreamOpenedRightAfterTheDeletionIsClosedOnItsOwn(t *testing.T) {
	r, late := lateRig(t)
	r.write(id, 3)
	reached, release := make(chan struct{}), make(chan struct{})
	hold := func() { close(reached); <-release }
	late.deleted.Store(&hold)
	closed := make(chan error, 2)
	go func() { closed <- r.Close(t.Context(), id, logs.ArchiveAlways) }()
	<-reached
	want := r.write(id, 7) // the first stream is gone, its job is not over
	go func() { closed <- r.Close(t.Context(), id, logs.ArchiveAlways) }()
	time.AfterFunc(30*time.Millisecond, func() { close(release) })
	r.must(<-closed)
	r.must(<-closed)
	r.wantNoStream(id)
	r.wantContent(id, want)
}

func TestStoppingGivesUpWorkThatDoesNotEnd(t *testing.T) {
	if os.Getenv("LOG_SERVICE_TEST_LONG") != "1" {
		t.Skip("takes 10 s: set LOG_SERVICE_TEST_LONG=1")
	}
	r := newRig(t)
	r.store.failWith(func(ctx context.Context, _ logservice.ID) error {
		<-ctx.Done()
		return ctx.Err()
	})
	r.write(id, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r.must(r.Close(ctx, id, logs.ArchiveAlways))
	clock := proctest.StartClock(t)
	r.stop()
	if took := clock.Elapsed(); took > 15*time.Second {
		t.Error("it took", took)
	}
}

func TestOpenWriteCloseInALoopWhileReadersAlwaysFindTheLog(t *testing.T) {
	r := newRig(t)
	want := r.write(id, 20)
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := r.Blob(t.Context(), id, 0); err != nil {
				t.Error("blob:", err)
				return
			}
			c, _, err := r.Follow(t.Context(), id, past(0))
			if err != nil {
				t.Error("follow:", err)
				return
			}
			c.Close()
		}
	}()
	for range 50 {
		r.write(id, 20)
		r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	}
	close(stop)
	<-done
	r.wantContent(id, want)
}
