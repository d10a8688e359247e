package service_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

func TestASlowReaderOfAnArchivedLogGoesOnInTheArchive(t *testing.T) {
	const count, had = 3000, 700
	r := newRig(t)
	log := func(name string) logservice.ID { return logservice.ID{Account: "acme", Key: logservice.Key(name)} }
	written := func(id logservice.ID, seed int) {
		r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
		for i := range count / 100 {
			_, err := r.Append(t.Context(), id, logs.Lines{Data: jsonLines(seed+100*i, 100), Count: 100})
			r.must(err)
		}
	}
	names := []string{"archived", "again", "uploaded", "gone", "never"}
	readers := map[string]logs.Reader{}
	for _, name := range names {
		written(log(name), 0)
		from := past(had)
		from.Only = true
		c, state, err := r.Follow(t.Context(), log(name), from)
		r.must(err)
		if state != logservice.StateLive {
			t.Fatal(state)
		}
		defer c.Close()
		readers[name] = c
		how := logs.ArchiveAlways
		if name == "never" {
			how = logs.ArchiveNever
		}
		r.must(r.Close(t.Context(), log(name), how))
	}
	written(log("again"), 7)
	r.must(r.Close(t.Context(), log("again"), logs.ArchiveAlways))
	r.must(r.PutBlob(t.Context(), log("uploaded"), strings.NewReader(string(jsonLines(count/2, count/2))), false))
	// Another attempt, and an upload of a part, change nothing of what was streamed.
	r.must(r.DeleteBlob(t.Context(), log("gone")))
	r.releaseOldest(log("traffic"))

	all := jsonLines(0, count)
	want := string(all[len(jsonLines(0, had)):])
	for _, name := range names[:3] {
		if got, next := drain(t, readers[name], had+1); string(got) != want || next != count+1 {
			t.Errorf("%s: %d bytes up to %d, want %d", name, len(got), next, len(want))
		}
	}
	for _, name := range names[3:] {
		batches, err := readers[name].Next(t.Context())
		if err != nil || len(batches) != 1 || !batches[0].Gap || batches[0].First != had+1 || batches[0].Last() != count {
			t.Errorf("%s: %+v, %v, want a gap of the rest", name, batches, err)
			continue
		}
		if data, next := drain(t, readers[name], count+1); len(data) != 0 || next != count+1 {
			t.Errorf("%s: %d bytes after the gap", name, len(data))
		}
	}
}

func TestAStoreThatIsAwayIsNoGapForASlowReader(t *testing.T) {
	const count, had = 1000, 200
	var store *awayStore
	r := newRig(t, func(c *service.Config) {
		store = &awayStore{Store: c.Store}
		c.Store = store
	})
	r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
	_, err := r.Append(t.Context(), id, logs.Lines{Data: jsonLines(0, count), Count: count})
	r.must(err)
	c, _, err := r.Follow(t.Context(), id, past(had))
	r.must(err)
	defer c.Close()
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	other := id
	other.Key = "traffic"
	r.releaseOldest(other)
	store.away = true
	if b, err := c.Next(t.Context()); !errors.Is(err, logservice.ErrUnavailable) {
		t.Fatalf("%d batches, %v, want ErrUnavailable", len(b), err)
	}
	store.away = false
	if _, next := drain(t, c, had+1); next != count+1 {
		t.Errorf("read up to %d of %d", next-1, count)
	}
}

// awayStore is a store that may be unreachable.
type awayStore struct {
	logs.Store
	away bool
}

func (s *awayStore) GetAttempt(ctx context.Context, id logservice.ID, attempt int64) (logs.Blob, error) {
	if s.away {
		return nil, logservice.ErrUnavailable
	}
	return s.Store.GetAttempt(ctx, id, attempt)
}

// releaseOldest appends to other logs until the engine has released the
// segments that it has now.
func (r *rig) releaseOldest(other logservice.ID) {
	r.t.Helper()
	segments := func() []string {
		names, err := filepath.Glob(filepath.Join(r.dir, "streams", "*.wal"))
		r.must(err)
		slices.Sort(names)
		return names
	}
	now := segments()
	last := now[len(now)-1]
	data := jsonLines(0, 10_000)
	for range 400 {
		r.must(r.Open(r.t.Context(), other, logs.OpenOptions{}))
		_, err := r.Append(r.t.Context(), other, logs.Lines{Data: data, Count: 10_000})
		r.must(err)
		r.must(r.engine.Delete(r.t.Context(), other))
		if _, err := os.Stat(last); err != nil {
			return
		}
	}
	r.t.Fatalf("%s is still there after 400 MB", last)
}
