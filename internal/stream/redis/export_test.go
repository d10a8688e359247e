package redis

import (
	"context"
	"strings"

	logservice "github.com/harness/log-service"
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

// MetaKey is the hash of a stream.
func MetaKey(e *Engine, id logservice.ID) string {
	b, name := e.bucket(id)
	return b.handle(name, "").meta()
}

// CanaryKey is the canary of the first bucket.
func CanaryKey(c Config) string { return root(c) + "canary" }

func DataKey(e *Engine, id logservice.ID) string {
	b, name := e.bucket(id)
	t, err := b.tails.acquire(context.Background(), b.handle(name, ""))
	if err != nil {
		panic(err)
	}
	defer t.release()
	return t.key("d")
}
