package logs

import (
	"context"
	"log/slog"
	"time"

	logservice "github.com/harness/log-service"
)

// Config of a Service. Streams and Store are required.
type Config struct {
	Streams Streams
	Store   Store
	Logger  *slog.Logger // nil: slog.Default
	// LinkKey signs links; see SignLink. 32 random bytes that stay the same
	// over restarts. Without it the service signs and accepts no links.
	LinkKey []byte
	// Sweep is how often Run looks for abandoned streams; zero is
	// DefaultSweep.
	Sweep time.Duration
}

// Service holds the rules of the log service over one engine and one store.
// Make one with New, and let Run go for as long as it serves. All methods may
// be called from any number of goroutines.
type Service struct {
	streams Streams
	store   Store
	log     *slog.Logger
}

// New returns a Service over c. It does no I/O.
func New(c Config) *Service {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Service{streams: c.Streams, store: c.Store, log: c.Logger}
}

// Open opens the stream of id; see Streams.Open. Where the last stream of
// that identity is still being archived, Open waits for that, at most 5 s; an
// *logservice.UnavailableError after.
func (s *Service) Open(ctx context.Context, id logservice.ID, o OpenOptions) error {
	return s.streams.Open(ctx, id, o)
}

// Append adds lines to the open stream of id; see Streams.Append.
func (s *Service) Append(ctx context.Context, id logservice.ID, l Lines) (next int64, err error) {
	return s.streams.Append(ctx, id, l)
}

// Next is the sequence that the next line of an open stream will get.
func (s *Service) Next(ctx context.Context, id logservice.ID) (int64, error) {
	return s.streams.Append(ctx, id, Lines{})
}

// List describes the streams of f; see Streams.List.
func (s *Service) List(ctx context.Context, f Filter) ([]Info, error) {
	return s.streams.List(ctx, f)
}
