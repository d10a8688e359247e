package redis

import (
	"context"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// What tests look at in Redis itself.

func root(c Config) string {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	return c.Prefix + "{" + tags[0] + "}:"
}

func NodesKey(c Config) string { return root(c) + "nodes" }
func ClockKey(c Config) string { return root(c) + "clock" }
func NodeRun(e *Engine) string { return e.node.id() }

// Redial is what a new connection means to an engine.
func Redial(e *Engine) { e.node.redis.dials.Add(1) }

func ReadersKey(e *Engine, id logservice.ID) string {
	return strings.Replace(DataKey(e, id), "}:d:", "}:f:", 1)
}

// SetStore replaces the blob store of an engine that does nothing yet.
func SetStore(e *Engine, s logs.Store) { e.node.store = s }

// Clock is the service's clock as an engine knows it.
func Clock(e *Engine) time.Duration { return e.node.members.clock() }

// Remembered is how many appends an engine remembers to recognize retries.
func Remembered(e *Engine) int64 { return e.node.recent.Count() }

// Expire forgets old appends, as happens at intervals.
func Expire(e *Engine) {
	for _, b := range e.buckets {
		b.tails.expire(e.node.members.clock())
	}
}

// Offloads is how many streams an engine offloads lines of now.
func Offloads(e *Engine) (n int) {
	for _, b := range e.buckets {
		b.offloader.mu.Lock()
		n += len(b.offloader.running)
		b.offloader.mu.Unlock()
	}
	return n
}

// TracesKey is the key of what identifies the appends in segments.
func TracesKey(e *Engine, id logservice.ID) string {
	return strings.Replace(DataKey(e, id), "}:d:", "}:r:", 1)
}

// MetaKey is the hash of a stream.
func MetaKey(e *Engine, id logservice.ID) string {
	b, name := e.bucket(id)
	return b.handle(name, "").meta()
}

// CanaryKey is the canary of the first bucket.
func CanaryKey(c Config) string { return root(c) + "canary" }

// EvictsKey is what the nodes write down in the first bucket of a canary that
// was evicted.
func EvictsKey(c Config) string { return root(c) + "evicts" }

func DataKey(e *Engine, id logservice.ID) string {
	b, name := e.bucket(id)
	t, err := b.tails.acquire(context.Background(), b.handle(name, ""))
	if err != nil {
		panic(err)
	}
	defer b.tails.release(t)
	return t.key("d")
}
