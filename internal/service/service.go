// Package service holds the rules of the log service over one engine and one
// store: identity and limits, close, then archive, then delete; and reads that
// are the same for live and archived logs. The APIs call it, over HTTP and
// gRPC. It knows no backend, only the contracts of package logs.
package service

import (
	"context"
	"errors"
	"log/slog"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// openWait is how long Open waits for the archiving of the last stream of its
// identity: a small log takes milliseconds, and clients give up after 10 s.
const openWait = 5 * time.Second

// Service holds the rules of the log service over one engine and one store.
// Create one with New, and call Run for as long as it serves. All methods are
// safe for concurrent use.
//
//	Open, Append ─► Streams ─► Close ─► job: Streams.Follow ─► archive ─► Store.Put
//	                   │                └─► Streams.Delete, once that is durable
//	Follow, Blob ◄─────┴── else ◄── Store.Get
type Service struct {
	streams logs.Streams
	stored  *storedLogs
	quota   *quota
	log     *slog.Logger

	*closer      // Close, CloseUnder, CloseAll
	*jobs        // Backlog
	*maintenance // Run
	*blobs       // PutBlob, Blob, DeleteBlob, Finish, …
	*storedLogs  // ListBlobs, CountBlobs, Zip
	*reader      // Follow, FirstLine
	*linkSigner  // SignLink, VerifyLink
	*metrics     // Describe, Collect
	health       // Check
}

// New returns a Service over c. It does no I/O.
func New(c Config) *Service {
	c = c.withDefaults()
	m := newMetrics()
	q := newQuota(c, m)
	locks := &keyLocks{}
	stored := newStoredLogs(c)
	x := newCloser(c, newArchiver(c, stored, q, locks), q, m)
	return &Service{
		streams:     c.Streams,
		stored:      stored,
		quota:       q,
		log:         c.Logger,
		closer:      x,
		jobs:        x.jobs,
		maintenance: newMaintenance(c, x, q, m),
		blobs:       &blobs{streams: c.Streams, store: c.Store, stored: stored, closer: x, locks: locks, quota: q},
		storedLogs:  stored,
		reader:      newReader(c, stored, q, m),
		linkSigner:  &linkSigner{key: c.LinkKey, quota: q},
		metrics:     m,
		health:      newHealth(c),
	}
}

// Open opens the stream of id; see Streams.Open. One that does not exist
// becomes the next attempt of the log, or continues the last one; see opening.
// If the last stream of that identity is still being archived, Open waits for
// at most 5 s, and then returns a *logservice.UnavailableError.
func (s *Service) Open(ctx context.Context, id logservice.ID, o logs.OpenOptions) error {
	if err := s.quota.mayOpen(ctx, id); err != nil {
		return err
	}
	dropped := int64(0)
	if o.Truncate {
		if info, err := s.streams.Stat(ctx, id); err == nil && !info.Closed {
			dropped = info.Attempt
		}
	}
	o, err := s.opening(ctx, id, o)
	if err == nil {
		err = s.streams.Open(ctx, id, o)
	}
	if errors.Is(err, logservice.ErrUnavailable) && s.settled(ctx, id, openWait) {
		if o, err = s.opening(ctx, id, o); err == nil {
			err = s.streams.Open(ctx, id, o)
		}
	}
	if err == nil {
		s.quota.opened(id.Account, 1)
	}
	if err == nil && o.Truncate && dropped > 0 {
		return s.dropUploads(ctx, id, dropped)
	}
	return err
}

// dropUploads deletes what was uploaded for an attempt that a truncation ended.
func (s *Service) dropUploads(ctx context.Context, id logservice.ID, attempt int64) error {
	u, err := s.stored.uploads(ctx, id, attempt)
	if err != nil {
		return err
	}
	return u.delete(ctx)
}

// Append adds lines to the open stream of id; see Streams.Append.
func (s *Service) Append(ctx context.Context, id logservice.ID, l logs.Lines) (next int64, err error) {
	count, size := l.Count, len(l.Data)
	if err := s.quota.mayAppend(id.Account, size); err != nil {
		return 0, err
	}
	next, err = s.streams.Append(ctx, id, l)
	if s.continues(ctx, id, err) {
		next, err = s.streams.Append(ctx, id, l)
	}
	if err == nil {
		s.lines.Add(float64(count))
		s.bytes.Add(float64(size))
	}
	return next, err
}

// Next returns the sequence of the next line of an open stream.
func (s *Service) Next(ctx context.Context, id logservice.ID) (int64, error) {
	return s.streams.Append(ctx, id, logs.Lines{})
}

// List describes the streams of f; see Streams.List.
func (s *Service) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	return s.streams.List(ctx, f)
}
