package redis

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// idleMemory is how long a batch stays in memory if the budget suffices: long
// enough for all followers.
const idleMemory = 10 * time.Second

// Engine implements logs.Streams over Redis. Call Stop when done.
type Engine struct {
	node    *node
	start   time.Time
	metrics *metrics
	links   *linkKey
	buckets [buckets]*bucket
}

var (
	_ logs.Streams         = (*Engine)(nil)
	_ logs.Checker         = (*Engine)(nil)
	_ prometheus.Collector = (*Engine)(nil)
)

// Open connects to Redis and returns the engine of one node. The error has the
// remedy: no server there, a wrong password, an old version, a missing
// permission.
func Open(ctx context.Context, c Config) (*Engine, error) {
	c.setDefaults()
	if err := c.connection(); err != nil {
		return nil, err
	}
	e := &Engine{start: time.Now()}
	memory := batches.NewMemory(c.Memory, func() time.Duration { return time.Since(e.start) })
	e.metrics = newMetrics(memory)
	scripts, err := loadScripts()
	if err != nil {
		return nil, err
	}
	marks, err := openMarks(c.Dir, c.Logger)
	if err != nil {
		return nil, err
	}
	client, err := connect(c, scripts, e.metrics)
	if err != nil {
		return nil, errors.Join(startError(c, err), marks.close())
	}
	root := func(i int) string { return c.Prefix + "{" + tags[i] + "}:" }
	e.node = &node{
		log: c.Logger, redis: client, marks: marks, memory: memory, recent: batches.NewRecentBudget(memory, c.Memory), store: c.Store, codec: archive.NewCodec(), work: newWork(),
		members: &members{redis: client, log: c.Logger, root: root(0), self: nodeRun(c.Node)},
		policy:  &policy{redis: client, log: c.Logger},
	}
	e.links = &linkKey{redis: client, log: c.Logger, name: root(0) + "link-key"}
	for i := range e.buckets {
		e.buckets[i] = newBucket(e.node, i, root(i), c.StreamMemory)
	}
	if err := e.begin(ctx); err != nil {
		return nil, errors.Join(startError(c, err), e.end())
	}
	return e, nil
}

// begin checks what Redis can do, reports to it what this node knows, and starts
// the work in the background.
func (e *Engine) begin(ctx context.Context) error {
	n := e.node
	if err := n.checkStart(ctx); err != nil {
		return err
	}
	for _, b := range e.buckets {
		if err := b.monitor.start(ctx); err != nil {
			return err
		}
	}
	// Reads that block in a Redis that was unavailable may block in one that is
	// no longer the master.
	n.members.returned = e.interrupt
	first := e.buckets[0]
	first.monitor.lost = func() {
		first.reader.interrupt()
		e.links.restore(n.work.ctx)
	}
	n.work.every(heartbeat, n.members.beat)
	n.work.every(heartbeat, n.marks.sync)
	n.work.every(policyRefresh, n.policy.recheck)
	n.work.every(time.Second, e.evict)
	for _, b := range e.buckets {
		b.run()
	}
	return nil
}

// interrupt ends the reads that block in Redis: they start again.
func (e *Engine) interrupt() {
	for _, b := range e.buckets {
		b.reader.interrupt()
	}
}

// Stop ends all background work and the connections. Later calls return
// ErrUnavailable.
func (e *Engine) Stop() error {
	e.node.work.cancel()
	e.interrupt()
	e.node.work.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	e.node.members.leave(ctx)
	return e.end()
}

func (e *Engine) end() error {
	e.node.work.cancel()
	e.node.work.wg.Wait()
	e.node.redis.Close()
	return e.node.marks.close()
}

// evict releases unused memory.
func (e *Engine) evict(context.Context) {
	e.node.memory.Shrink()
	e.node.memory.Idle(max(0, time.Since(e.start)-idleMemory))
}

// bucket finds the bucket of a stream, and its name there.
func (e *Engine) bucket(id logservice.ID) (b *bucket, name string) {
	name = nameOf(id)
	return e.buckets[bucketOf(name)], name
}

// Open implements logs.Streams.
func (e *Engine) Open(ctx context.Context, id logservice.ID, o logs.OpenOptions) error {
	b, name := e.bucket(id)
	return b.lifecycle.open(ctx, name, o)
}

// Append implements logs.Streams.
func (e *Engine) Append(ctx context.Context, id logservice.ID, l logs.Lines) (next int64, err error) {
	b, name := e.bucket(id)
	return b.appender.append(ctx, name, l)
}

// Follow implements logs.Streams.
func (e *Engine) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	b, name := e.bucket(id)
	f, err := b.followers.follow(ctx, name)
	if err != nil {
		return nil, err
	}
	return &cursor{f: f, followers: b.followers, pos: max(after, f.first-1)}, nil
}

// Close implements logs.Streams. The node that closes a stream archives it.
func (e *Engine) Close(ctx context.Context, id logservice.ID, how logs.Closing) error {
	b, name := e.bucket(id)
	return b.lifecycle.close(ctx, name, how)
}

// Delete implements logs.Streams.
func (e *Engine) Delete(ctx context.Context, id logservice.ID) error {
	b, name := e.bucket(id)
	return b.lifecycle.delete(ctx, name, "", "")
}

// Claim implements logs.Streams.
func (e *Engine) Claim(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	b, name := e.bucket(id)
	return b.lifecycle.claim(ctx, name, false)
}

// Take implements logs.Streams.
func (e *Engine) Take(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	b, name := e.bucket(id)
	return b.lifecycle.claim(ctx, name, true)
}

// Stat implements logs.Streams.
func (e *Engine) Stat(ctx context.Context, id logservice.ID) (logs.Info, error) {
	b, name := e.bucket(id)
	return b.listing.stat(ctx, id.Account, name)
}

// List implements logs.Streams.
func (e *Engine) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	var found [buckets][]logs.Info
	g, ctx := errgroup.WithContext(ctx)
	for i, b := range e.buckets {
		g.Go(func() (err error) {
			for _, r := range rangesOf(f.Account, f.Prefix) {
				if found[i], err = b.listing.list(ctx, r, f, found[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var all []logs.Info
	for _, infos := range found {
		all = append(all, infos...)
	}
	return all, nil
}

// Due implements logs.Streams.
func (e *Engine) Due(ctx context.Context) (all []logs.Info, err error) {
	// First: the live nodes and the time.
	if err := e.node.members.heartbeat(ctx); err != nil {
		return nil, err
	}
	for _, b := range e.buckets {
		infos, err := b.listing.due(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, infos...)
	}
	return all, nil
}

// Check implements logs.Checker.
func (e *Engine) Check(ctx context.Context) error { return e.node.check(ctx) }

// LinkKey returns the key that signs the links of all nodes: own, if this node
// is the first to offer one.
func (e *Engine) LinkKey(ctx context.Context, own []byte) ([]byte, error) {
	return e.links.share(ctx, own)
}

// Describe implements prometheus.Collector.
func (e *Engine) Describe(ch chan<- *prometheus.Desc) { e.metrics.Describe(ch) }

// Collect implements prometheus.Collector.
func (e *Engine) Collect(ch chan<- prometheus.Metric) { e.metrics.Collect(ch) }
