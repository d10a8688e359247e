package logs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/stream"
)

var id = logservice.ID{Account: "acme", Key: "project/build/stage/step"}

// rig is a service over the real engine and the real store, in a folder that
// survives a restart.
type rig struct {
	*logs.Service
	t      testing.TB
	dir    string
	engine *stream.Engine
	bolt   *bolt.Store
	store  *faultyStore
	stop   func() // Run, engine and store, in this order
}

func start(t testing.TB, dir string, change ...func(*logs.Config)) *rig {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	engine, err := stream.Open(stream.Config{Dir: filepath.Join(dir, "streams"), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "blobs.db"), bolt.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, engine: engine, bolt: store, store: &faultyStore{Store: store}}
	c := logs.Config{Streams: engine, Store: r.store, Logger: quiet, LinkKey: []byte(strings.Repeat("k", 32)), Sweep: 20 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	r.Service = logs.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-done
		if err := engine.Stop(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// newRig starts a service in a folder of its own and checks at the end that
// it leaves no goroutine.
func newRig(t *testing.T, change ...func(*logs.Config)) *rig {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	return start(t, t.TempDir(), change...)
}

// faultyStore lets tests make the store fail or wait.
type faultyStore struct {
	logs.Store
	misses atomic.Int64
	fault  atomic.Pointer[func(ctx context.Context, id logservice.ID) error] // of Put, before it does anything
}

func (s *faultyStore) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	if f := s.fault.Load(); f != nil {
		if err := (*f)(ctx, id); err != nil {
			return err
		}
	}
	return s.Store.Put(ctx, id, r, info)
}

// Get misses a blob as often as misses says: it was stored just after.
func (s *faultyStore) Get(ctx context.Context, id logservice.ID) (logs.Blob, error) {
	if s.misses.Add(-1) >= 0 {
		return nil, logservice.ErrBlobNotFound
	}
	return s.Store.Get(ctx, id)
}

func (s *faultyStore) failWith(f func(context.Context, logservice.ID) error) { s.fault.Store(&f) }
func (s *faultyStore) works()                                                { s.fault.Store(nil) }

func jsonLines(first, count int) (data []byte) {
	for i := range count {
		data = fmt.Appendf(data, `{"level":"info","pos":%d,"out":"line %d of the log\n","time":"2026-01-02T15:04:05Z","args":null}`+"\n", first+i, first+i)
	}
	return data
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// write opens the stream of id and appends count lines.
func (r *rig) write(id logservice.ID, count int) []byte {
	r.t.Helper()
	r.must(r.Open(r.t.Context(), id, logs.OpenOptions{}))
	return r.append(id, 0, count)
}

func (r *rig) append(id logservice.ID, first, count int) []byte {
	r.t.Helper()
	data := jsonLines(first, count)
	if count > 0 {
		_, err := r.Append(r.t.Context(), id, logs.Lines{Data: bytes.Clone(data), Count: int64(count)})
		r.must(err)
	}
	return data
}

func (r *rig) content(id logservice.ID) ([]byte, *logs.Content) {
	r.t.Helper()
	c, err := r.Blob(r.t.Context(), id)
	r.must(err)
	defer c.Close()
	rc, err := c.Range(r.t.Context(), 0, -1)
	r.must(err)
	defer rc.Close()
	data, err := io.ReadAll(rc)
	r.must(err)
	if c.Size >= 0 && c.Size != int64(len(data)) {
		r.t.Errorf("size %d, read %d bytes", c.Size, len(data))
	}
	return data, c
}

func (r *rig) wantContent(id logservice.ID, want []byte) *logs.Content {
	r.t.Helper()
	got, c := r.content(id)
	if !bytes.Equal(got, want) {
		r.t.Errorf("%v: got %d bytes %.80q, want %d bytes %.80q", id, len(got), got, len(want), want)
	}
	return c
}

func (r *rig) wantNoStream(id logservice.ID) {
	r.t.Helper()
	infos, err := r.List(r.t.Context(), logs.Filter{Account: id.Account, Prefix: id.Key})
	r.must(err)
	if len(infos) != 0 {
		r.t.Errorf("streams are left: %+v", infos)
	}
}

// drain reads a cursor to its end and returns the sequences' first and next.
func drain(t testing.TB, c logs.Cursor, first int64) (data []byte, next int64) {
	t.Helper()
	next = first
	for {
		batches, err := c.Next(t.Context())
		if err == io.EOF {
			return data, next
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(batches) == 0 {
			<-c.Ready()
		}
		for _, b := range batches {
			if b.First != next {
				t.Fatalf("a batch begins with %d, not %d", b.First, next)
			}
			next = b.Next()
			data = append(data, b.Data...)
		}
	}
}

// eventually waits until ok, for things that happen in the background.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("never: ", what)
		}
	}
}

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
				cur, state, err := r.Follow(t.Context(), id, after)
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
		exists bool
		want   string
	}{
		{logs.ArchiveIfMissing, false, "new"}, {logs.ArchiveIfMissing, true, "old"},
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
	if _, state, err := r.Follow(t.Context(), id, 0); !errors.Is(err, logservice.ErrStreamNotFound) || state != logservice.StateUnknown {
		t.Error("follow:", state, err)
	}
	if _, err := r.Blob(t.Context(), id); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Error("blob:", err)
	}
	r.write(id, 3) // open: not finished
	if _, err := r.Blob(t.Context(), id); !errors.Is(err, logservice.ErrBlobNotFound) {
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
	c, state, err := r.Follow(t.Context(), id, 100)
	r.must(err)
	if _, err := r.Append(t.Context(), id, logs.Lines{Data: []byte("{}\n"), Count: 1}); !errors.Is(err, logservice.ErrStreamNotFound) {
		t.Error("append to a closed stream:", err)
	}

	r.store.works()
	r.must(<-closed)
	r.must(<-closed)
	r.wantNoStream(id)
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
	c, _, err := r.Follow(t.Context(), id, 0)
	r.must(err)
	batches, err := c.Next(t.Context())
	r.must(err)
	for _, b := range batches {
		read, after = append(read, b.Data...), b.Last()
	}
	c.Close() // cut
	r.append(id, 1000, 1500)
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	c, state, err := r.Follow(t.Context(), id, after)
	r.must(err)
	defer c.Close()
	more, next := drain(t, c, after+1)
	if want := append(jsonLines(0, 1000), jsonLines(1000, 1500)...); state != logservice.StateArchived || next != 2501 || !bytes.Equal(append(read, more...), want) {
		t.Error("not every line, once:", state, next)
	}
}

// lateStreams answers as an engine would have a moment ago.
type lateStreams struct {
	logs.Streams
	misses  atomic.Int64                // Follow finds nothing, so often
	deleted atomic.Pointer[func()]      // called once, after the next Delete
	stale   atomic.Pointer[[]logs.Info] // what List answers once
}

func (s *lateStreams) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	if s.misses.Add(-1) >= 0 {
		return nil, logservice.ErrStreamNotFound
	}
	return s.Streams.Follow(ctx, id, after)
}

func (s *lateStreams) Delete(ctx context.Context, id logservice.ID) error {
	err := s.Streams.Delete(ctx, id)
	if f := s.deleted.Swap(nil); f != nil {
		(*f)()
	}
	return err
}

func (s *lateStreams) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	if stale := s.stale.Swap(nil); stale != nil {
		return *stale, nil
	}
	return s.Streams.List(ctx, f)
}

func lateRig(t *testing.T) (*rig, *lateStreams) {
	var late *lateStreams
	return newRig(t, func(c *logs.Config) {
		late = &lateStreams{Streams: c.Streams}
		c.Streams = late
	}), late
}

func TestAReaderThatIsOvertakenLooksAgain(t *testing.T) {
	r, late := lateRig(t)
	r.write(id, 3)
	late.misses.Store(1)
	c, state, err := r.Follow(t.Context(), id, 0)
	r.must(err)
	c.Close()
	if state != logservice.StateLive {
		t.Error(state)
	}
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	r.store.misses.Store(1)
	c, state, err = r.Follow(t.Context(), id, 0)
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
		eventually(t, "a sweep", func() bool { return late.stale.Load() == nil })
		other := logservice.ID{Account: "acme", Key: "other"}
		r.abandon(other, 1) // a whole sweep later
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
	begin := time.Now()
	r.stop()
	if took := time.Since(begin); took > 15*time.Second {
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
			if _, err := r.Blob(t.Context(), id); err != nil {
				t.Error("blob:", err)
				return
			}
			c, _, err := r.Follow(t.Context(), id, 0)
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
