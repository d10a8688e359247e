package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// twoServers are two services over one Redis and one store.
func twoServers(t *testing.T, wrap func(logs.Store) logs.Store) [2]*rig {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	addr := redistest.Start(t).Addr
	blobs, err := bolt.Open(filepath.Join(t.TempDir(), "blobs.db"), bolt.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	var rigs [2]*rig
	for i := range rigs {
		e, err := redis.Open(t.Context(), redis.Config{Addresses: []string{addr}, Node: fmt.Sprint("node ", i), Store: blobs, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Stop() })
		rigs[i] = start(t, t.TempDir(), func(c *service.Config) {
			c.Streams, c.Store = e, blobs
			if i == 0 {
				c.Store = wrap(blobs)
			}
		})
	}
	return rigs
}

func TestWhatUsersSayAtAnotherServerStands(t *testing.T) {
	for _, w := range words {
		t.Run("the archiver waits/"+w.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			var store *noArchives
			servers := twoServers(t, func(s logs.Store) logs.Store {
				store = &noArchives{Store: s}
				store.refuseWith(func() error { return errDown })
				return store
			})
			old := string(servers[0].write(id, 10))
			servers[0].must(servers[0].Close(t.Context(), id, logs.ArchiveAlways))
			servers[1].must(w.say(t.Context(), servers[1]))
			store.works()
			for _, r := range servers {
				r.wantIdle()
				r.wantLog("later", w.want(old))
			}
		})
		t.Run("the archive is being stored/"+w.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			storing, goOn := make(chan struct{}, 1), make(chan struct{})
			servers := twoServers(t, func(s logs.Store) logs.Store {
				store := &committed{Store: s}
				store.then = func() {
					select {
					case storing <- struct{}{}:
					default:
					}
					<-goOn
				}
				return store
			})
			old := string(servers[0].write(id, 10))
			closed := make(chan error)
			go func() { closed <- servers[0].Close(t.Context(), id, logs.ArchiveAlways) }()
			<-storing
			said := make(chan error)
			go func() { said <- w.say(t.Context(), servers[1]) }()
			close(goOn)
			servers[1].must(<-said)
			servers[0].must(<-closed)
			for _, r := range servers {
				r.wantIdle()
				r.wantLog("later", w.want(old))
			}
		})
	}
}

// committed is a store that calls then when it has read an archive to its end,
// before it makes it visible.
type committed struct {
	logs.Store
	then func()
}

func (s *committed) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	if info.Archive {
		r = &atEnd{r, s.then}
	}
	return s.Store.Put(ctx, id, r, info)
}

type atEnd struct {
	io.Reader
	then func()
}

func (r *atEnd) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		r.then()
	}
	return n, err
}
