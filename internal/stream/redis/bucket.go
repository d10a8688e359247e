package redis

import (
	"context"

	"github.com/harness/log-service/internal/stream/batches"
)

// bucket is a sixteenth of the streams: those whose keys share a hash tag, and
// this node's work on them.
type bucket struct {
	*keyspace
	tails     *tails
	followers *followers
	reader    *reader
	monitor   *monitor
	offloader *offloader
	appender  *appender
	lifecycle *lifecycle
	listing   *listing
}

func newBucket(n *node, index int, root string, streamMemory int64) *bucket {
	k := &keyspace{node: n, index: index, root: root}
	b := &bucket{keyspace: k, tails: newTails(n.recent), followers: newFollowers(k)}
	b.reader = newReader(b.followers)
	b.monitor = &monitor{keyspace: k, doubt: -1, lost: b.reader.interrupt}
	b.offloader = newOffloader(k, streamMemory, b.tails)
	b.appender = &appender{refresher{k, b.tails, b.followers}, b.offloader}
	b.lifecycle = &lifecycle{k, b.tails, b.followers}
	b.listing = &listing{k, b.followers}
	return b
}

// run starts the work in the background.
func (b *bucket) run() {
	for _, f := range []func(ctx context.Context){b.reader.run, b.reader.wake, b.followers.report} {
		b.work.loop(f)
	}
	b.work.every(heartbeat, b.monitor.observe)
	b.work.every(batches.RecentTime/5, func(context.Context) { b.tails.expire(b.members.clock()) })
}
