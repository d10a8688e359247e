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
func NodeRun(e *Engine) string { return e.node }

// Redial is what a new connection means to an engine.
func Redial(e *Engine) { e.dials.Add(1) }

func ReadersKey(e *Engine, id logservice.ID) string {
	return strings.Replace(DataKey(e, id), "}:d:", "}:f:", 1)
}

// MetaKey is the hash of a stream.
func MetaKey(e *Engine, id logservice.ID) string {
	b, name := e.bucket(id)
	return b.root + "s:" + name
}

// CanaryKey is the canary of the first bucket.
func CanaryKey(c Config) string { return root(c) + "canary" }

func DataKey(e *Engine, id logservice.ID) string {
	b, name := e.bucket(id)
	t, err := b.tails.take(context.Background(), name)
	if err != nil {
		panic(err)
	}
	defer t.give()
	return b.key("d", t.gen, name)
}
