package service_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// abandon opens a stream that nobody closes.
func (r *rig) abandon(id logservice.ID, count int) []byte {
	r.t.Helper()
	r.must(r.Open(r.t.Context(), id, logs.OpenOptions{TTL: 300 * time.Millisecond}))
	data := r.append(id, 0, count)
	eventually(r.t, "the stream is gone", func() bool {
		infos, err := r.engine.List(r.t.Context(), logs.Filter{Account: id.Account, Prefix: id.Key})
		r.must(err)
		return len(infos) == 0
	})
	return data
}

func (r *rig) keys() (keys []string) {
	for e, err := range r.ListBlobs(r.t.Context(), id.Account, "") {
		r.must(err)
		keys = append(keys, string(e.Key))
	}
	return keys
}

func TestAnAbandonedLogIsArchivedAndMarked(t *testing.T) {
	r := newRig(t)
	want := r.abandon(id, 10)
	if c := r.wantContent(id, want); !c.Incomplete || !c.Archive || c.State() != logservice.StateIncomplete {
		t.Errorf("%+v", c)
	}
	c, state, err := r.Follow(t.Context(), id, past(0))
	r.must(err)
	c.Close()
	if state != logservice.StateIncomplete {
		t.Errorf("a reader hears of a log that is %s", state)
	}
	// Who adds to it later does not know what is missing.
	r.must(r.PutBlob(t.Context(), id, strings.NewReader("more\n"), true))
	if c := r.wantContent(id, append(want, "more\n"...)); !c.Incomplete {
		t.Error("the mark is lost when something is added")
	}
	r.put(id, "all of it\n")
	if c := r.wantContent(id, []byte("all of it\n")); c.Incomplete || c.State() != logservice.StateArchived {
		t.Errorf("an upload in its place is %s", c.State())
	}
}

func TestAClosedLogIsNotIncomplete(t *testing.T) {
	r := newRig(t)
	r.write(id, 3)
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	c, state, err := r.Follow(t.Context(), id, past(0))
	r.must(err)
	c.Close()
	if state != logservice.StateArchived {
		t.Errorf("a log that its writer closed is %s", state)
	}
}

func TestAnAbandonedLogThatWasUploadedIsNotKeptTwice(t *testing.T) {
	r := newRig(t)
	r.must(r.Open(t.Context(), id, logs.OpenOptions{TTL: 300 * time.Millisecond}))
	r.append(id, 0, 10)
	uploaded := jsonLines(0, 12)
	r.put(id, string(uploaded))
	r.wantIdle()
	if c := r.wantContent(id, uploaded); c.Incomplete {
		t.Error("it is marked as incomplete, but its end was uploaded")
	}
	if k := r.keys(); len(k) != 1 {
		t.Error(k)
	}
}

func TestAnAbandonedLogIsAnAttemptOfItsOwn(t *testing.T) {
	for name, key := range map[string]logservice.Key{
		"short key": "project/step", "long key": logservice.Key(strings.Repeat("s/", 500) + "longlonglonglonglonglong"),
		"one long segment": logservice.Key(strings.Repeat("x", logservice.MaxKeyBytes)),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			id := logservice.ID{Account: id.Account, Key: key}
			other := bytes.Repeat([]byte("another run\n"), 1000) // longer than ours
			r.put(id, string(other))
			want := r.abandon(id, 10)
			if c := r.wantContent(id, want); !c.Incomplete || c.Attempt != 2 {
				t.Errorf("attempt %d, incomplete %v", c.Attempt, c.Incomplete)
			}
			r.wantAttempt(id, 1, other)
			if keys := r.keys(); len(keys) != 1 {
				t.Fatal(keys)
			}
		})
	}
}

func TestLinksAllowOneThingForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service.New(service.Config{LinkKey: bytes.Repeat([]byte("k"), 32)})
		a := logservice.ID{Account: "a", Key: "b/c"}
		l, err := s.SignLink(service.LinkDownload, a, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.VerifyLink(l); err != nil {
			t.Error(err)
		}
		for name, change := range map[string]func(*service.Link){
			"kind":      func(l *service.Link) { l.Kind = service.LinkUpload },
			"account":   func(l *service.Link) { l.ID.Account = "b" },
			"key":       func(l *service.Link) { l.ID.Key = "b/d" },
			"joined":    func(l *service.Link) { l.ID = logservice.ID{Account: "a/b", Key: "c"} },
			"shifted":   func(l *service.Link) { l.ID = logservice.ID{Account: "ab", Key: "/c"} },
			"time":      func(l *service.Link) { l.Expires++ },
			"empty":     func(l *service.Link) { l.Signature = "" },
			"shortened": func(l *service.Link) { l.Signature = l.Signature[:20] },
			"padded":    func(l *service.Link) { l.Signature += "=" },
			"a break":   func(l *service.Link) { l.Signature += "\n" },
			"last bits": func(l *service.Link) { l.Signature = l.Signature[:42] + string(l.Signature[42]+1) },
			"other key": nil,
		} {
			forged, by := l, s
			if change != nil {
				change(&forged)
			} else {
				by = service.New(service.Config{LinkKey: bytes.Repeat([]byte("x"), 32)})
			}
			if err := by.VerifyLink(forged); !errors.Is(err, logservice.ErrForbidden) {
				t.Errorf("%s: %v", name, err)
			}
		}
		long, _ := s.SignLink(service.LinkZip, logservice.ID{Account: "a"}, 1000*time.Hour, "")
		time.Sleep(service.DefaultLinkTTL)
		if err := s.VerifyLink(l); !errors.Is(err, logservice.ErrForbidden) {
			t.Error("expired:", err)
		}
		time.Sleep(service.MaxLinkTTL - service.DefaultLinkTTL - time.Second)
		if err := s.VerifyLink(long); err != nil {
			t.Error("within a day:", err)
		}
		time.Sleep(time.Second)
		if err := s.VerifyLink(long); !errors.Is(err, logservice.ErrForbidden) {
			t.Error("after a day:", err)
		}
	})
	none := service.New(service.Config{})
	if _, err := none.SignLink(service.LinkUpload, id, 0, ""); !errors.Is(err, logservice.ErrUnsupported) {
		t.Error(err)
	}
	if err := none.VerifyLink(service.Link{Expires: 1 << 40}); !errors.Is(err, logservice.ErrForbidden) {
		t.Error("a service without a key:", err)
	}
}

func TestStoredLogsGoWhenTheirRetentionIsOver(t *testing.T) {
	dir := t.TempDir()
	old := logservice.ID{Account: "acme", Key: "old"}
	r := start(t, dir)
	r.must(r.PutBlob(t.Context(), old, strings.NewReader("old\n"), false))
	r.stop()
	const keep = 2 * time.Second
	r = start(t, dir, func(c *service.Config) { c.Store, c.Retention = c.Store.(*faultyStore).Store, keep })
	young := logservice.ID{Account: "acme", Key: "young"}
	eventually(t, "the old log is gone", func() bool {
		r.must(r.PutBlob(t.Context(), young, strings.NewReader("young\n"), false)) // is written all the time
		ok, err := r.BlobExists(t.Context(), old)
		r.must(err)
		return !ok
	})
	r.wantContent(young, []byte("young\n"))
}
