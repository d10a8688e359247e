package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/stream"
)

func limit(l service.Limits) func(*service.Config) { return func(c *service.Config) { c.Limits = l } }

// atLimit checks that err is a refusal that can be repeated, and names account
// and rule.
func atLimit(t *testing.T, err error, words string) {
	t.Helper()
	var u *logservice.UnavailableError
	if !errors.Is(err, logservice.ErrLimit) || !errors.Is(err, logservice.ErrUnavailable) || !errors.As(err, &u) || u.RetryAfter <= 0 {
		t.Errorf("error %v, want ErrLimit as a part of an UnavailableError with a time to wait", err)
	} else if !strings.Contains(err.Error(), words) {
		t.Errorf("%q does not say %q", err, words)
	}
}

func TestAnAccountOpensAsManyStreamsAsItMay(t *testing.T) {
	r := newRig(t, limit(service.Limits{Streams: 3}))
	at := func(account string, i int) logservice.ID {
		return logservice.ID{Account: account, Key: logservice.Key(fmt.Sprint("k/", i))}
	}
	for i := range 3 {
		r.must(r.Open(t.Context(), at("flood", i), logs.OpenOptions{}))
	}
	atLimit(t, r.Open(t.Context(), at("flood", 3), logs.OpenOptions{}), "account flood has 3 open streams")
	// A retry of an open is none more, and others have limits of their own.
	for range 5 {
		r.must(r.Open(t.Context(), at("flood", 0), logs.OpenOptions{}))
	}
	r.must(r.Open(t.Context(), at("other", 0), logs.OpenOptions{}))
	r.must(r.Close(t.Context(), at("flood", 1), logs.ArchiveNever))
	for clock := proctest.StartClock(t); ; { // what retries were counted too much is found within a second
		err := r.Open(t.Context(), at("flood", 3), logs.OpenOptions{})
		if err == nil {
			break
		}
		if atLimit(t, err, "flood"); clock.Elapsed() > 10*time.Second {
			t.Fatal("a closed stream frees no capacity for another")
		}
	}
}

func TestOpeningAndClosingInTurnsStaysBelowTheLimit(t *testing.T) {
	// A long interval: what is opened and closed meanwhile counts.
	r := newRig(t, limit(service.Limits{Streams: 2}), func(c *service.Config) { c.MaintenanceInterval = time.Hour })
	for i := range 50 {
		id := logservice.ID{Account: "a", Key: logservice.Key(fmt.Sprint("k/", i))}
		r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
		r.must(r.Close(t.Context(), id, logs.ArchiveNever))
	}
}

func TestAnAccountHasAsManyReadersAsItMay(t *testing.T) {
	r := newRig(t, limit(service.Limits{Tails: 2}))
	r.write(id, 1)
	follow := func(account string) (logs.Cursor, error) {
		c, _, err := r.Follow(t.Context(), logservice.ID{Account: account, Key: id.Key}, past(0))
		return c, err
	}
	first, err := follow(id.Account)
	r.must(err)
	second, err := follow(id.Account)
	r.must(err)
	_, err = follow(id.Account)
	atLimit(t, err, "account acme has 2 readers")
	if _, err := follow("other"); !errors.Is(err, logservice.ErrStreamNotFound) {
		t.Errorf("another account: %v", err)
	}
	first.Close()
	// Looking for what is not there takes no place for good.
	for range 3 {
		if _, _, err := r.Follow(t.Context(), logservice.ID{Account: id.Account, Key: "nothing"}, past(0)); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Fatal(err)
		}
	}
	third, err := follow(id.Account)
	r.must(err)
	second.Close()
	third.Close()
}

func TestAnAccountAppendsAsFastAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, err := stream.Open(stream.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s := service.New(service.Config{Streams: engine, Store: emptyStore{}, Limits: service.Limits{Rate: 1000, Burst: 5000}})
		other := logservice.ID{Account: "other", Key: "k"}
		for _, id := range []logservice.ID{id, other} {
			if err := s.Open(t.Context(), id, logs.OpenOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		push := func(id logservice.ID, size int) error {
			line := append(bytes.Repeat([]byte("x"), size-1), '\n') // what a line holds is not the engine's business
			_, err := s.Append(t.Context(), id, logs.Lines{Data: line, Count: 1})
			return err
		}
		if err := push(id, 4000); err != nil {
			t.Fatal(err)
		}
		if err := push(id, 1000); err != nil {
			t.Fatal(err)
		}
		err = push(id, 3000)
		atLimit(t, err, "more than its limit of 1000 bytes per second")
		var u *logservice.UnavailableError
		if errors.As(err, &u) && u.RetryAfter != 3*time.Second {
			t.Errorf("retry after %v, want 3 s", u.RetryAfter)
		}
		if err := push(other, 5000); err != nil {
			t.Errorf("another account is refused, too: %v", err)
		}
		if next, err := s.Next(t.Context(), id); err != nil || next != 3 {
			t.Errorf("asking for the next sequence: %d, %v", next, err)
		}
		time.Sleep(3 * time.Second) // of the bubble's clock
		if err := push(id, 3000); err != nil {
			t.Errorf("after the wait: %v", err)
		}
		// One that is larger than the burst is not rejected forever.
		time.Sleep(10 * time.Second)
		if err := push(id, 9000); err != nil {
			t.Errorf("a large one: %v", err)
		}
		if err := engine.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnAccountKeepsAsMuchAsItMay(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir)
	full := logservice.ID{Account: "full", Key: "old"}
	r.must(r.PutBlob(t.Context(), full, bytes.NewReader(make([]byte, 900)), false))
	r.stop()

	// What a former run has stored is found.
	r = start(t, dir, limit(service.Limits{Stored: 1000}))
	live := logservice.ID{Account: "full", Key: "live"}
	r.must(r.Open(t.Context(), live, logs.OpenOptions{}))
	r.append(live, 0, 2) // more than is left
	eventually(t, "the account is full", func() bool {
		return errors.Is(r.Open(t.Context(), logservice.ID{Account: "full", Key: "more"}, logs.OpenOptions{}), logservice.ErrLimit)
	})
	_, err := r.Append(t.Context(), live, logs.Lines{Data: jsonLines(2, 1), Count: 1})
	atLimit(t, err, "account full keeps as much as the 1000 bytes")
	atLimit(t, r.PutBlob(t.Context(), full, strings.NewReader("x"), false), "delete some logs")
	_, err = r.SignLink(service.LinkUpload, full, time.Hour, "")
	atLimit(t, err, "full")
	if _, err := r.SignLink(service.LinkDownload, full, time.Hour, ""); err != nil {
		t.Error(err)
	}
	r.must(r.PutBlob(t.Context(), logservice.ID{Account: "other", Key: "k"}, strings.NewReader("x"), false))
	// What was acknowledged is archived all the same.
	r.must(r.Close(t.Context(), live, logs.ArchiveAlways))
	eventually(t, "the log is archived", func() bool {
		ok, err := r.BlobExists(t.Context(), live)
		return err == nil && ok
	})
}

// emptyStore is a store without logs.
type emptyStore struct{ logs.Store }

func (emptyStore) Attempts(context.Context, logservice.ID) ([]logs.BlobInfo, error) { return nil, nil }
