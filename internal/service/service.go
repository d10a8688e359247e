// Package service holds the rules of the log service over one engine and one
// store: identity and limits, close then archive then delete, and reads that do
// not care whether a log is live or archived. The APIs call it, over HTTP and
// gRPC. It knows no backend, only the contracts of package logs.
package service

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// openWait is how long Open waits for the archiving of the last stream of
// its identity: a small log takes milliseconds, and clients give up an
// answer after 10 s.
const openWait = 5 * time.Second

// Config of a Service. Streams and Store are required.
type Config struct {
	Streams logs.Streams
	Store   logs.Store
	Logger  *slog.Logger // nil: slog.Default
	// LinkKey signs links; see SignLink. 32 random bytes that stay the same
	// over restarts. Without it the service signs and accepts no links.
	LinkKey []byte
	// Plain archives logs as their lines alone, for other programs to read,
	// where the store is an Indexer.
	Plain bool
	// Sweep is how often Run looks for abandoned streams; zero is
	// DefaultSweep.
	Sweep time.Duration
	// Retention is how long a stored log is kept, where the store is an
	// Expirer; zero is for ever.
	Retention time.Duration
	// Clock keeps the retention's clock over restarts. Nil: it begins anew.
	Clock ClockStore
	// Now is the system's clock, for the retention; nil is time.Now.
	Now func() time.Time
	// Limits are those of each account.
	Limits Limits
}

// Service holds the rules of the log service over one engine and one store.
// Make one with New, and let Run go for as long as it serves. All methods may
// be called from any number of goroutines.
//
//	Open, Append ─► Streams ─► Close ─► job: Streams.Follow ─► archive ─► Store.Put
//	                   │                └─► Streams.Delete, once that is durable
//	Follow, Blob ◄─────┴── else ◄── Store.Get
type Service struct {
	streams logs.Streams
	store   logs.Store
	log     *slog.Logger
	linkKey []byte
	sweeps  time.Duration
	codec   *archive.Codec
	plain   bool
	keep    time.Duration // Config.Retention
	clock   ClockStore
	now     func() time.Time
	turns   turns         // of the writers of a blob
	slots   chan struct{} // one for each log being archived
	metrics *metrics
	probes  []*probe // of the parts that can be asked whether they work

	reading, readingStored chan struct{} // one for each reader at work, see maxReading

	quota *quota

	// retrying ends when Run is told to stop, working when it waits no
	// longer for the jobs.
	retrying, working    context.Context
	endRetrying, endWork context.CancelFunc
	jobsDone             sync.WaitGroup
	backlog              atomic.Bool   // there may be closed streams without a job
	room                 chan struct{} // wakes Run: there is room for the backlog

	mu   sync.Mutex // guards what follows, and some of each job
	jobs map[logservice.ID]*job
	// failingJobs counts the jobs that are failing.
	failingJobs int
	stopping    bool // no new jobs
}

// New returns a Service over c. It does no I/O.
func New(c Config) *Service {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Sweep = cmp.Or(c.Sweep, DefaultSweep)
	if c.Now == nil {
		c.Now = time.Now
	}
	m := newMetrics()
	s := &Service{
		streams: c.Streams,
		store:   c.Store,
		log:     c.Logger,
		linkKey: c.LinkKey,
		sweeps:  c.Sweep,
		codec:   archive.NewCodec(),
		plain:   c.Plain,
		keep:    c.Retention,
		clock:   c.Clock,
		now:     c.Now,
		slots:   make(chan struct{}, maxArchiving),
		metrics: m,
		quota:   newQuota(c, m),
		probes:  newProbes(c),

		reading:       make(chan struct{}, maxReading),
		readingStored: make(chan struct{}, maxReadingStored),

		room: make(chan struct{}, 1),
		jobs: make(map[logservice.ID]*job),
	}
	s.retrying, s.endRetrying = context.WithCancel(context.Background())
	s.working, s.endWork = context.WithCancel(context.Background())
	s.backlog.Store(true) // what a former run left
	return s
}

// Open opens the stream of id; see Streams.Open. Where the last stream of
// that identity is still being archived, Open waits for that, at most 5 s; an
// *logservice.UnavailableError after.
func (s *Service) Open(ctx context.Context, id logservice.ID, o logs.OpenOptions) error {
	if err := s.quota.mayOpen(ctx, id); err != nil {
		return err
	}
	err := s.streams.Open(ctx, id, o)
	if errors.Is(err, logservice.ErrUnavailable) && s.settled(ctx, id, openWait) {
		err = s.streams.Open(ctx, id, o)
	}
	if err == nil {
		s.quota.opened(id.Account, 1)
	}
	return err
}

// settled waits until no job works on id. It returns false where there was
// none, or where there is still one after wait.
func (s *Service) settled(ctx context.Context, id logservice.ID, wait time.Duration) bool {
	j := s.job(id)
	if j == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-j.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// Append adds lines to the open stream of id; see Streams.Append.
func (s *Service) Append(ctx context.Context, id logservice.ID, l logs.Lines) (next int64, err error) {
	count, size := l.Count, len(l.Data)
	if err := s.quota.mayAppend(id.Account, size); err != nil {
		return 0, err
	}
	if next, err = s.streams.Append(ctx, id, l); err == nil {
		s.metrics.lines.Add(float64(count))
		s.metrics.bytes.Add(float64(size))
	}
	return next, err
}

// Next is the sequence that the next line of an open stream will get.
func (s *Service) Next(ctx context.Context, id logservice.ID) (int64, error) {
	return s.streams.Append(ctx, id, logs.Lines{})
}

// List describes the streams of f; see Streams.List.
func (s *Service) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	return s.streams.List(ctx, f)
}
