// Package stream is the embedded engine of live logs: batches of lines in
// memory and in one write-ahead log that all streams share.
//
//	Append ─► staged in the pending group ─► one write, one sync ─► visible
//	                                              │
//	Cursor.Next ◄── batches in memory ◄───────────┤
//	            ◄── read back from a segment ◄────┘
//
// A stream is an index of batches by sequence. Readers are cursors into it,
// woken by a channel that the next batch closes; nothing is queued per reader.
// Memory holds the latest batches of all streams under one budget; the log
// holds every line until its stream is deleted. Without a folder the same
// engine runs without a log: evicted lines are lost, and readers get a gap.
package stream

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// DefaultMemory is the budget for batches in memory, over all streams.
const DefaultMemory = 256 << 20

// Config of an Engine.
type Config struct {
	// Dir is the folder of the write-ahead log, created if missing. If empty,
	// lines are only in memory. The caller ensures that only one process uses
	// it.
	Dir string
	// Memory limits the bytes of lines held in memory; 0 means DefaultMemory.
	Memory int64
	Logger *slog.Logger // nil: slog.Default

	folder  folder // tests: in place of Dir
	segment int64  // tests: in place of segmentBytes
}

// Engine implements logs.Streams. Call Stop when done.
type Engine struct {
	log    *slog.Logger
	start  time.Time
	memory *batches.Memory
	blocks *batches.Memory // lines read back from disk

	orphans orphans
	wal     *wal // nil: memory only

	metrics metrics

	encoder *zstd.Encoder // both are safe for concurrent use
	decoder *zstd.Decoder

	mu      sync.RWMutex // guards streams; taken before any stream.mu
	streams map[logservice.ID]*stream

	lastNum     atomic.Uint64 // the number of the newest stream
	live        atomic.Int64  // bytes on disk that indexes refer to
	uncompacted atomic.Int64  // index entries that a compaction could merge

	recent *batches.RecentBudget // of the appends that streams remember

	reclaiming sync.Mutex // allows one reclaim at a time; taken before all others

	wake       chan struct{} // the maintenance goroutine has work
	quit       chan struct{}
	life       context.Context // canceled when quit is closed
	end        context.CancelFunc
	maintained chan struct{} // closed when the maintenance goroutine has returned
}

var (
	_ logs.Streams = (*Engine)(nil)
	_ logs.Checker = (*Engine)(nil)
)

// Open returns an engine with the streams found in its folder.
func Open(c Config) (*Engine, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Memory <= 0 {
		c.Memory = DefaultMemory
	}
	e := &Engine{
		log:        c.Logger,
		start:      time.Now(),
		streams:    make(map[logservice.ID]*stream),
		wake:       make(chan struct{}, 1),
		quit:       make(chan struct{}),
		maintained: make(chan struct{}),
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.blocks = batches.NewMemory(c.Memory/blocksShare, e.clock)
	e.memory = batches.NewMemory(c.Memory-c.Memory/blocksShare, e.clock)
	e.recent = batches.NewRecentBudget(e.memory, c.Memory)
	e.metrics = newMetrics(e)
	var err error
	if e.encoder, e.decoder, err = codec(); err != nil {
		return nil, err
	}
	if c.Dir != "" && c.folder == nil {
		d, err := openDirectory(c.Dir)
		if err != nil {
			return nil, err
		}
		c.folder = d
	}
	if c.folder != nil {
		if err := e.replay(c.folder, cmp.Or(c.segment, segmentBytes)); err != nil {
			return nil, err
		}
		go e.wal.run()
		if err := e.rewriteFailed(); err != nil {
			return nil, err
		}
	}
	go e.maintain()
	return e, nil
}

// Stop writes what is staged and closes the files. Later changes return
// ErrUnavailable. If the disk hangs, Stop returns an error after about 16 s.
func (e *Engine) Stop() error {
	close(e.quit)
	e.end()
	t := time.NewTimer(stopTime)
	defer t.Stop()
	select {
	case <-e.maintained:
	case <-t.C:
		return errHangs
	}
	if e.wal == nil {
		return nil
	}
	return e.wal.stop()
}

// Check implements logs.Checker: it reports why lines cannot be accepted now.
// It never waits for the disk.
func (e *Engine) Check(context.Context) error {
	if e.wal == nil {
		return nil
	}
	return e.wal.check(e.clock())
}

// clock is the time since the engine's start. It never jumps.
func (e *Engine) clock() time.Duration { return time.Since(e.start) }

func (e *Engine) lookup(id logservice.ID) (*stream, error) {
	e.mu.RLock()
	s := e.streams[id]
	e.mu.RUnlock()
	if s == nil {
		return nil, logservice.ErrStreamNotFound
	}
	return s, nil
}

// Open implements logs.Streams.
func (e *Engine) Open(ctx context.Context, id logservice.ID, o logs.OpenOptions) error {
	ttl := o.TTL
	if ttl <= 0 {
		ttl = logservice.DefaultTTL
	}
	ttl = min(ttl, logservice.MaxTTL)
	g, err := e.open(id, ttl, o)
	if err != nil {
		return err
	}
	return g.wait(ctx)
}

func (e *Engine) open(id logservice.ID, ttl time.Duration, o logs.OpenOptions) (*group, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	attempt, first := uint32(max(o.Attempt, 1)), max(o.First, 1)
	if old := e.streams[id]; old != nil {
		g, kept, err := old.reopen(ttl, o.Truncate)
		if kept || err != nil {
			return g, err
		}
		last, empty := old.attemptNumber()
		switch {
		case empty && o.Attempt == 0:
			attempt = last
		case !empty && attempt <= last:
			attempt, first = last+1, 1
		}
	}
	// The key may be a substring of a request, which must not be kept alive.
	id.Account, id.Key = strings.Clone(id.Account), logservice.Key(strings.Clone(string(id.Key)))
	s := &stream{
		id: id, num: e.lastNum.Add(1), eng: e, attempt: attempt, first: first, next: first, end: first,
		ttl: ttl, last: e.clock(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stage(s.openRecord()); err != nil {
		return nil, err
	}
	e.streams[id] = s
	return s.staging, nil
}

// reopen keeps an open stream, or deletes it if truncate is set.
func (s *stream) reopen(ttl time.Duration, truncate bool) (g *group, kept bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.deleting || s.deleted:
		return nil, false, nil
	case s.closing || s.closed:
		return nil, false, &logservice.UnavailableError{Cause: logservice.Errorf(logservice.ErrUnavailable,
			"the stream was closed and is being archived"), RetryAfter: time.Second}
	case truncate:
		s.deleting = true
		if err := s.stage(staged{rec: record{kind: kindDelete}}); err != nil {
			s.deleting = false
			return nil, false, err
		}
		return nil, false, nil
	}
	s.last = s.eng.clock()
	if ttl == s.ttl {
		return s.staging, true, nil
	}
	it := s.openRecord()
	it.rec.first = int64(ttl)
	err = s.stage(it)
	return s.staging, true, err
}

// attemptNumber returns the attempt of s; empty means that it has no lines, and
// so is none yet.
func (s *stream) attemptNumber() (n uint32, empty bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempt, s.next == s.first
}

// openRecord contains the identity.
func (s *stream) openRecord() staged {
	data := []byte(s.name())
	return staged{data: data, rec: record{
		kind: kindOpen, first: int64(s.ttl), next: s.end, dataCRC: checksum(data),
	}}
}

// closeRecord also says how far the log has got: nothing that its writers do
// will show the loss of its last lines.
func (s *stream) closeRecord(how logs.Closing) staged {
	return staged{rec: record{kind: kindClose, flags: closingFlags(how), next: s.next}}
}
