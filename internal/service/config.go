package service

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/harness/log-service/internal/logs"
)

// DefaultSweep is how often Run checks all streams: often enough that
// an abandoned log is archived soon after its time, seldom enough that
// 100,000 streams cost nothing.
const DefaultSweep = 5 * time.Second

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
	// Sweep is how often Run checks for abandoned streams; zero is
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

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Sweep = cmp.Or(c.Sweep, DefaultSweep)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// ClockStore keeps the retention's clock over restarts.
type ClockStore interface {
	// LoadClock returns what SaveClock was given last; zero where that is
	// nothing.
	LoadClock() (Clock, error)
	// SaveClock returns when c is durable.
	SaveClock(c Clock) error
}

// Clock is what a restart needs of the retention's clock.
type Clock struct {
	At time.Time
	// Jump is how far the next start may follow a system's clock that is ahead.
	Jump time.Duration
}
