package service_test

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

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/stream"
)

// noArchives is a store that takes uploads and, while refuse is set, no
// archives: what is closed then waits.
type noArchives struct {
	logs.Store
	refuse atomic.Pointer[func() error]
}

func (s *noArchives) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	if f := s.refuse.Load(); f != nil && info.Archive {
		if err := (*f)(); err != nil {
			return err
		}
	}
	return s.Store.Put(ctx, id, r, info)
}

func (s *noArchives) refuseWith(f func() error) { s.refuse.Store(&f) }
func (s *noArchives) works()                    { s.refuse.Store(nil) }

var errDown = &logservice.UnavailableError{Cause: errors.New("down")}

// waitingRig is a rig with a store that takes no archives.
func waitingRig(t *testing.T, change ...func(*service.Config)) (*rig, *noArchives) {
	var s *noArchives
	r := newRig(t, append(change, func(c *service.Config) {
		s = &noArchives{Store: c.Store}
		c.Store = s
	})...)
	s.refuseWith(func() error { return errDown })
	return r, s
}

// crash starts a rig over what a machine that stopped now would find.
func (r *rig) crash() *rig {
	r.t.Helper()
	dir := r.t.TempDir()
	r.must(os.CopyFS(filepath.Join(dir, "streams"), os.DirFS(filepath.Join(r.dir, "streams"))))
	data, err := os.ReadFile(filepath.Join(r.dir, "blobs.db"))
	r.must(err)
	r.must(os.WriteFile(filepath.Join(dir, "blobs.db"), data, 0o600))
	return start(r.t, dir)
}

func inMemory(t *testing.T) func(*service.Config) {
	return func(c *service.Config) {
		e, err := stream.Open(stream.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Stop() })
		c.Streams = e
	}
}

// words are what users say of a log, and what its log is then: old is what
// was streamed.
var words = []struct {
	name string
	say  func(ctx context.Context, r *rig) error
	want func(old string) string // empty: no log
}{
	{"delete", func(ctx context.Context, r *rig) error { return r.DeleteBlob(ctx, id) },
		func(string) string { return "" }},
	{"delete prefix", func(ctx context.Context, r *rig) error {
		_, err := r.DeleteBlobs(ctx, id.Account, "project/build")
		return err
	}, func(string) string { return "" }},
	{"upload", func(ctx context.Context, r *rig) error {
		return r.PutBlob(ctx, id, bytes.NewReader(jsonLines(5, 10)), false)
	}, func(string) string { return string(jsonLines(0, 15)) }},
	{"whole log again", func(ctx context.Context, r *rig) error {
		return r.Finish(ctx, id, jsonLines(0, 20))
	}, func(string) string { return string(jsonLines(0, 20)) }},
	{"a part of the log again", func(ctx context.Context, r *rig) error {
		return r.Finish(ctx, id, jsonLines(5, 3))
	}, func(old string) string { return old }},
}

func (r *rig) wantLog(what, want string) {
	r.t.Helper()
	c, err := r.Blob(r.t.Context(), id, 0)
	if want == "" {
		if !errors.Is(err, logservice.ErrBlobNotFound) {
			r.t.Errorf("%s: the deleted log is there: %v", what, err)
		}
		if ok, err := r.BlobExists(r.t.Context(), id); ok || err != nil {
			r.t.Errorf("%s: the deleted log exists: %v, %v", what, ok, err)
		}
		if _, _, err := r.Follow(r.t.Context(), id, past(0)); !errors.Is(err, logservice.ErrStreamNotFound) {
			r.t.Errorf("%s: the deleted log is followed: %v", what, err)
		}
		return
	}
	r.must(err)
	r.must(c.Close())
	if got, _ := r.content(id); string(got) != want {
		r.t.Errorf("%s: the log is %.60q, want %.60q", what, got, want)
	}
}

func (r *rig) wantIdle() {
	r.t.Helper()
	eventually(r.t, "no closed stream waits", func() bool {
		infos, err := r.List(r.t.Context(), logs.Filter{})
		r.must(err)
		return len(infos) == 0
	})
}

func TestWhatUsersSayOfALogThatWaitsToBeArchivedStands(t *testing.T) {
	for _, w := range words {
		for _, how := range []logs.Archiving{logs.ArchiveIfMissing, logs.ArchiveAlways} {
			for _, engine := range []string{"disk", "memory"} {
				t.Run(fmt.Sprint(w.name, how, engine), func(t *testing.T) {
					var change []func(*service.Config)
					if engine == "memory" {
						change = append(change, inMemory(t))
					}
					r, store := waitingRig(t, change...)
					if how == logs.ArchiveAlways {
						r.put(id, "before\n")
					}
					old := string(r.write(id, 10))
					r.must(r.Close(t.Context(), id, how))
					r.must(w.say(t.Context(), r))
					want := w.want(old)
					r.wantLog("at once", want)
					if engine == "disk" {
						after := r.crash()
						after.wantIdle()
						after.wantLog("after a crash", want)
					}
					store.works()
					r.wantIdle()
					r.wantLog("when archives are stored again", want)
					// And the next log of that name is its own.
					if want == "" {
						next := string(r.write(id, 3))
						r.must(r.Close(t.Context(), id, how))
						r.wantIdle()
						r.wantLog("the next log", next)
					}
				})
			}
		}
	}
}

// In a bucket, too, whose archives go another way into the store.
func TestWhatUsersSayStandsInABucket(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		b := newBucket(t, kind)
		for _, w := range words {
			t.Run(fmt.Sprint(kind, " ", w.name), func(t *testing.T) {
				dir := t.TempDir()
				gate := &gatedIndexer{bucket: b}
				gate.down.Store(true)
				r := start(t, dir, func(c *service.Config) { c.Store, c.Plain = gate, true })
				old := string(r.write(id, 10))
				r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
				if link, err := r.StoreLink(t.Context(), id, 0); !errors.Is(err, logservice.ErrUnsupported) {
					t.Errorf("a link past the service while a log waits to be archived: %q, %v", link, err)
				}
				r.must(w.say(t.Context(), r))
				gate.down.Store(false)
				r.wantIdle()
				r.wantLog("when archives are stored again", w.want(old))
				r.must(r.DeleteBlob(t.Context(), id))
			})
		}
	}
}

// gatedIndexer is a bucket that takes no archives while it is down.
type gatedIndexer struct {
	*bucket
	down atomic.Bool
}

func (g *gatedIndexer) PutIndexed(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo, index func() []byte) error {
	if g.down.Load() {
		return errDown
	}
	return g.bucket.PutIndexed(ctx, id, r, info, index)
}

// A user who speaks while the archive is being stored has the last word, too.
func TestWhatUsersSayWhileTheArchiveIsStoredStands(t *testing.T) {
	for _, w := range words {
		t.Run(w.name, func(t *testing.T) {
			r, store := waitingRig(t)
			storing, goOn := make(chan struct{}, 1), make(chan struct{})
			store.refuseWith(func() error {
				select {
				case storing <- struct{}{}:
				default:
				}
				<-goOn
				return nil
			})
			old := string(r.write(id, 10))
			closed := make(chan error)
			go func() { closed <- r.Close(t.Context(), id, logs.ArchiveAlways) }()
			<-storing
			said := make(chan error)
			go func() { said <- w.say(t.Context(), r) }()
			close(goOn)
			r.must(<-said)
			r.must(<-closed)
			r.wantLog("at once", w.want(old))
			after := r.crash()
			after.wantIdle()
			after.wantLog("after a crash", w.want(old))
			r.wantIdle()
			r.wantLog("later", w.want(old))
		})
	}
}

// Lines that were acknowledged wait on where an upload or a deletion fails, at
// any step.
func TestACallThatFailsLeavesWhatWaitsToBeArchived(t *testing.T) {
	broken := errors.New("broken")
	t.Run("its body ends early", func(t *testing.T) {
		r, store := waitingRig(t)
		old := string(r.write(id, 10))
		r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
		body := io.MultiReader(strings.NewReader("upl"), errReader{broken})
		if err := r.PutBlob(t.Context(), id, body, false); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		r.wantLog("at once", old)
		r.crash().wantLog("after a crash", old)
		store.works()
		r.wantIdle()
		r.wantLog("later", old)
	})
	t.Run("it is empty", func(t *testing.T) {
		r, store := waitingRig(t)
		old := string(r.write(id, 10))
		r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
		if err := r.PutBlob(t.Context(), id, strings.NewReader(""), false); !errors.Is(err, logservice.ErrConflict) {
			t.Fatal(err)
		}
		store.works()
		r.wantIdle()
		r.wantLog("later", old)
	})
	t.Run("the stream cannot be deleted", func(t *testing.T) {
		for _, how := range []logs.Archiving{logs.ArchiveIfMissing, logs.ArchiveAlways} {
			s := &stuckStreams{}
			r, store := waitingRig(t, func(c *service.Config) { s.Streams, c.Streams = c.Streams, s })
			old := string(r.write(id, 10))
			r.must(r.Close(t.Context(), id, how))
			s.stuck.Store(true)
			if err := r.DeleteBlob(t.Context(), id); !errors.Is(err, logservice.ErrUnavailable) {
				t.Fatal("acknowledged:", err)
			}
			// No answer said whether it is there.
			after := r.crash()
			after.wantIdle()
			after.wantLog("after a crash", old)
			s.stuck.Store(false)
			r.must(r.DeleteBlob(t.Context(), id))
			store.works()
			r.wantIdle()
			r.wantLog("later", "")
		}
	})
}

// errReader fails.
type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// stuckStreams deletes nothing that was taken while it is stuck.
type stuckStreams struct {
	logs.Streams
	stuck atomic.Bool
}

func (s *stuckStreams) Take(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	c, err := s.Streams.Take(ctx, id)
	if err != nil || !s.stuck.Load() {
		return c, err
	}
	return stuckClaim{c}, nil
}

type stuckClaim struct{ logs.Claim }

func (stuckClaim) Delete(context.Context) error { return errDown }

func TestAnAppendWaitsForWhatIsToBeArchived(t *testing.T) {
	r, store := waitingRig(t)
	old := r.write(id, 10)
	r.must(r.Close(t.Context(), id, logs.ArchiveIfMissing))
	r.stop()
	// A start that has not come to it yet: no job works on the log.
	r = start(t, r.dir, func(c *service.Config) { c.MaintenanceInterval = 1 << 40; c.Store = &noArchives{Store: c.Store} })
	_ = store
	r.must(r.PutBlob(t.Context(), id, strings.NewReader("more\n"), true))
	if got, _ := r.content(id); !bytes.Equal(got, append(old, "more\n"...)) {
		t.Errorf("the log is %.80q", got)
	}
	r.wantIdle()
	r.wantLog("later", string(append(old, "more\n"...)))
}

// A stream that a user has replaced is gone at once: its name can be used
// again though its job sleeps.
func TestADeletedLogCanBeOpenedAndClosedAtOnce(t *testing.T) {
	r, store := waitingRig(t)
	for round := range 20 {
		r.write(id, 10)
		r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
		r.must(r.DeleteBlob(t.Context(), id))
		if round%2 == 0 {
			store.works()
		} else {
			store.refuseWith(func() error { return errDown })
		}
	}
	store.works()
	want := string(r.write(id, 7))
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	r.wantIdle()
	r.wantLog("the last one", want)
}
