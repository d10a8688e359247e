package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// Defaults of a Config.
const (
	DefaultPrefix       = "log-service:"
	DefaultStreamMemory = 4 << 20
	DefaultMemory       = 256 << 20
)

const (
	// mostHeld is how many times Config.StreamMemory a stream may hold in
	// Redis while its lines cannot be moved, before appends are refused: the
	// blob store may be down for a while.
	mostHeld = 16
	// idleMemory is how long a batch stays in memory that the budget does not
	// press out: long enough for everyone who follows.
	idleMemory = 10 * time.Second
	// maxBackground bounds the moves and burials of a node at once.
	maxBackground = 4
)

// Config of an Engine. Addresses and Store are required.
type Config struct {
	// Addresses are host:port of the Redis; of some masters of a Cluster; or
	// of the sentinels, where MasterName is set.
	Addresses  []string
	MasterName string

	Username, Password string // of Redis; empty: the default user
	// SentinelUsername and SentinelPassword are of the sentinels.
	SentinelUsername, SentinelPassword string
	TLS                                *tls.Config // nil: no TLS

	// Prefix begins every key; it holds no braces. Servers that share it are
	// nodes of one service.
	Prefix string
	// StreamMemory is how many bytes of a stream are held in Redis before its
	// older lines move to the blob store.
	StreamMemory int64
	// Replicas is how many replicas must have an append before it is
	// acknowledged.
	Replicas int

	// Memory bounds the bytes of lines held in this node's memory.
	Memory int64
	// Node names this node for people; empty is the name of the machine.
	Node string
	// Dir is where this node keeps how far it saw logs get, for a Redis that
	// has lost lines when the node starts again. Empty: in memory only.
	Dir string
	// Store takes the parts of long logs. It is that of all nodes.
	Store  logs.Store
	Logger *slog.Logger // nil: slog.Default
}

// Engine implements logs.Streams over Redis. Stop it.
type Engine struct {
	config  Config
	log     *slog.Logger
	client  rueidis.Client
	dials   atomic.Int64 // see dial
	scripts *scripts
	start   time.Time
	node    string // this run of this node; no two are alike
	memory  *batches.Memory
	metrics metrics
	codec   *archive.Codec
	buckets [buckets]*bucket
	nodes   nodes
	marks   *marks
	policy  policy
	linkKey atomic.Pointer[[]byte] // that all nodes share; nil: not asked for

	// running ends when the engine stops, and with it all that works in the
	// background.
	running context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup
	slots   chan struct{} // one for each move or burial
}

var _ logs.Streams = (*Engine)(nil)

// Open connects to Redis and returns the engine of one node. The error says
// what to do: nobody answers there, the password is wrong, the version too
// old, a right is missing.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.StreamMemory <= 0 {
		c.StreamMemory = DefaultStreamMemory
	}
	if c.Memory <= 0 {
		c.Memory = DefaultMemory
	}
	if c.Node == "" {
		c.Node, _ = os.Hostname() // for people only
	}
	e := &Engine{config: c, log: c.Logger, start: time.Now(), node: nodeRun(c.Node), codec: archive.NewCodec()}
	e.memory = batches.NewMemory(c.Memory, func() time.Duration { return time.Since(e.start) })
	e.metrics = newMetrics(e)
	e.slots = make(chan struct{}, maxBackground)
	var err error
	if e.scripts, err = loadScripts(); err != nil {
		return nil, err
	}
	if e.marks, err = openMarks(c.Dir, c.Logger); err != nil {
		return nil, err
	}
	if e.client, err = e.connect(); err != nil {
		return nil, errors.Join(err, e.marks.close())
	}
	for i := range e.buckets {
		e.buckets[i] = newBucket(e, i, c.Prefix+"{"+tags[i]+"}:")
	}
	err = e.check(ctx)
	e.running, e.stop = context.WithCancel(context.Background())
	for i := 0; i < buckets && err == nil; i++ {
		err = e.buckets[i].begin(ctx)
	}
	if err != nil {
		e.stop()
		e.work.Wait()
		e.client.Close()
		return nil, errors.Join(err, e.marks.close())
	}
	e.work.Go(e.beat)
	e.work.Go(e.keep)
	e.work.Go(e.keepMarks)
	for _, b := range e.buckets {
		e.work.Go(b.read)
		e.work.Go(b.wake)
		e.work.Go(b.tell)
		e.work.Go(b.watch)
	}
	return e, nil
}

// Stop ends all background work and the connections. Calls that come later
// answer ErrUnavailable.
func (e *Engine) Stop() error {
	e.stop()
	for _, b := range e.buckets {
		b.cancelRead()
	}
	e.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	e.leave(ctx)
	e.client.Close()
	return e.marks.close()
}

// keep lets memory go that nobody needs.
func (e *Engine) keep() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-e.running.Done():
			return
		case <-tick.C:
			e.memory.Shrink()
			e.memory.Idle(max(0, time.Since(e.start)-idleMemory))
		}
	}
}

// background runs f, bounded, until the engine stops.
func (e *Engine) background(f func(ctx context.Context)) {
	if e.running.Err() != nil {
		return
	}
	e.work.Go(func() {
		select {
		case e.slots <- struct{}{}:
			defer func() { <-e.slots }()
			f(e.running)
		case <-e.running.Done():
		}
	})
}

// token is 64 random bits as text.
func token() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails, by its documentation
	return hex.EncodeToString(b)
}
