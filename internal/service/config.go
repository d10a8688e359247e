package service

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/harness/log-service/internal/logs"
)

// DefaultMaintenanceInterval is how often Run checks all streams: often enough
// that an abandoned log is archived soon, rarely enough that 100,000 streams
// cost nothing.
const DefaultMaintenanceInterval = 5 * time.Second

// Config of a Service. Streams and Store are required.
type Config struct {
	Streams logs.Streams
	Store   logs.Store
	Logger  *slog.Logger // nil: slog.Default
	// LinkKey signs links; see SignLink. It is 32 random bytes that stay the
	// same over restarts. Without it the service signs and accepts no links.
	LinkKey []byte
	// Plain archives only the lines of logs, for other programs to read, if the
	// store is an Indexer.
	Plain bool
	// MaintenanceInterval is how often Run checks for abandoned streams; zero
	// is DefaultMaintenanceInterval.
	MaintenanceInterval time.Duration
	// Retention is how long a stored log is kept, if the store is an Expirer;
	// zero is forever.
	Retention time.Duration
	// Clock stores the retention's clock across restarts. Nil: it starts again.
	Clock ClockStore
	// Now is the system's clock, for the retention; nil is time.Now.
	Now func() time.Time
	// Limits apply to each account.
	Limits Limits
}

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.MaintenanceInterval = cmp.Or(c.MaintenanceInterval, DefaultMaintenanceInterval)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// ClockStore stores the retention's clock across restarts.
type ClockStore interface {
	// LoadClock returns the clock that was saved last, or the zero Clock.
	LoadClock() (Clock, error)
	// SaveClock returns when c is durable.
	SaveClock(c Clock) error
}

// Clock is the stored state of the retention's clock.
type Clock struct {
	At time.Time
	// Jump is how far the next start may follow a system's clock that is ahead.
	Jump time.Duration
}
