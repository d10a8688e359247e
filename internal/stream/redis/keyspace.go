package redis

import (
	"context"
	"sync/atomic"

	"github.com/harness/log-service/internal/logs"
)

// keyspace is the keys of one bucket: they share a hash tag.
type keyspace struct {
	*node
	index int
	root  string       // begins all of them
	beat  atomic.Int64 // number of this node's last heartbeat in the bucket
}

// call runs a script on the keys of the bucket; see client.call.
func (k *keyspace) call(ctx context.Context, s *script, args ...string) (answer, error) {
	return k.redis.call(ctx, s, k.root, args...)
}

// handle returns the handle of one generation of a stream.
func (k *keyspace) handle(name, gen string) handle { return handle{k, name, gen} }

// handle is one generation of a stream. An empty generation is not known yet.
type handle struct {
	*keyspace
	name, gen string
}

// key returns the name of a key of the generation, by its kind; see doc.go.
func (h handle) key(kind string) string { return h.root + kind + ":" + h.gen + ":" + h.name }

// meta names the hash of the stream, of whatever generation.
func (h handle) meta() string { return h.root + "s:" + h.name }

// observed marks that this node saw the stream advance to next, or is about to
// report that.
func (h handle) observed(next int64) {
	if next > 1 { // otherwise there is nothing to lose
		h.mark(mark{next: next})
	}
}

// observedClose and observedDelete mark that this node has ended the stream.
func (h handle) observedClose(how logs.Closing, next int64) {
	h.mark(mark{state: markClosed, how: how, next: next})
}

func (h handle) observedDelete(next int64) { h.mark(mark{state: markDeleted, next: next}) }

func (h handle) mark(m mark) {
	m.bucket, m.name, m.gen, m.beat = h.index, h.name, h.gen, h.beat.Load()
	h.marks.set(m)
}
