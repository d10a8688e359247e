package logs

import (
	"context"
	"log/slog"

	logservice "github.com/harness/log-service"
)

// Config of a Service. Streams and Store are required.
type Config struct {
	Streams Streams
	Store   Store
	Logger  *slog.Logger // nil: slog.Default
}

// Service holds the rules of the log service over one engine and one store.
// Make one with New, and let Run go for as long as it serves.
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

// Open opens the stream of id; see Streams.Open.
func (s *Service) Open(ctx context.Context, id logservice.ID, o OpenOptions) error {
	return s.streams.Open(ctx, id, o)
}

// Append adds lines to the open stream of id; see Streams.Append.
func (s *Service) Append(ctx context.Context, id logservice.ID, l Lines) (next int64, err error) {
	return s.streams.Append(ctx, id, l)
}
