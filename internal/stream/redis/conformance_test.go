package redis_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

func TestOneRedisConforms(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	streamtest.Run(t, backend(t, redis.Config{Addresses: []string{s.Addr}}))
}

// With this little, nearly every line is read from a segment in the blob store.
func TestOneRedisConformsWhenItHoldsHardlyAnything(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := backend(t, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 2 << 10, Memory: 64 << 10})
	streamtest.Run(t, quick(b))
}

// patient is a client that tries again where one has to: when Redis does not answer in
// time, which happens on a busy machine, and while a stream holds as much as it may
// and the blob store is slower than the writer.
type patient struct{ logs.Streams }

func (p patient) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	c, err := p.Streams.Follow(ctx, id, after)
	if err != nil {
		return nil, err
	}
	return patientReader{c.(logs.Reader)}, nil
}

type patientReader struct{ logs.Reader }

func (r patientReader) Next(ctx context.Context) ([]*logs.Batch, error) {
	return calm{r.Reader}.Next(ctx)
}

func (p patient) Append(ctx context.Context, id logservice.ID, l logs.Lines) (next int64, err error) {
	for {
		next, err = p.Streams.Append(ctx, id, l)
		if !errors.Is(err, logservice.ErrUnavailable) {
			return next, err
		}
		select {
		case <-time.After(5 * time.Millisecond): // as Retry-After would have it, but sooner
		case <-ctx.Done():
		}
	}
}

var runs atomic.Int64

// backend is engines over one Redis, each with keys and a store of its own. To
// reopen one is to stop it and to start another node.
func backend(t *testing.T, c redis.Config) streamtest.Backend {
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	opened := map[logs.Streams]*node{} // one test at a time
	return streamtest.Backend{
		Open: func(t *testing.T) logs.Streams {
			c.Prefix = fmt.Sprintf("test-%d:", runs.Add(1))
			c.Store, c.Dir = newStore(t), t.TempDir()
			n := &node{config: c}
			n.start(t)
			t.Cleanup(func() {
				clear(opened) // the connections of an engine have megabytes of buffers
				n.stop(t)
			})
			opened[n.Engine] = n
			return n.Engine
		},
		Reopen: func(t *testing.T, s logs.Streams) logs.Streams {
			n := opened[s]
			delete(opened, s)
			n.stop(t)
			n.start(t)
			opened[n.Engine] = n
			return n.Engine
		},
	}
}

func newStore(t testing.TB) logs.Store {
	t.Helper()
	store, err := bolt.Open(filepath.Join(t.TempDir(), "blobs.db"), bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// node is an engine that can be stopped and started.
type node struct {
	*redis.Engine
	config redis.Config
}

func (n *node) start(t testing.TB) {
	t.Helper()
	var err error
	if n.Engine, err = redis.Open(t.Context(), n.config); err != nil {
		t.Fatalf("open the engine: %v", err)
	}
}

func (n *node) stop(t testing.TB) {
	t.Helper()
	if n.Engine == nil {
		return
	}
	if err := n.Stop(); err != nil {
		t.Errorf("stop the engine: %v", err)
	}
	n.Engine = nil
}

func TestSentinelConforms(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinels(t)
	streamtest.Run(t, quick(backend(t, redis.Config{Addresses: s.Addrs, MasterName: redistest.MasterName, Replicas: 1})))
}

func TestClusterConforms(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	streamtest.Run(t, quick(backend(t, redis.Config{Addresses: c.Addrs(), StreamMemory: 64 << 10})))
}

func TestTLSConforms(t *testing.T) {
	t.Parallel()
	files := redistest.NewTLS(t)
	s := redistest.StartTLS(t, files, "--requirepass", "a password")
	streamtest.Run(t, quick(backend(t, redis.Config{Addresses: []string{s.Addr}, Password: "a password", TLS: trust(t, files)})))
}

func trust(t *testing.T, files *redistest.TLS) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// quick leaves out the many restarts, which the first test has, unless all is
// asked for; and waits where a stream is full.
func quick(b streamtest.Backend) streamtest.Backend {
	p := streamtest.Backend{Variant: true, Open: func(t *testing.T) logs.Streams { return patient{b.Open(t)} }}
	if os.Getenv(streamtest.LongEnv) != "" {
		p.Reopen = func(t *testing.T, s logs.Streams) logs.Streams { return patient{b.Reopen(t, s.(patient).Streams)} }
	}
	return p
}
