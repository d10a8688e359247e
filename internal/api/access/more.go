package access

import (
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/logs"
)

// Opening returns the options for opening a stream that lives for ttl after its
// last activity; zero means the default. Truncating existing lines requires more
// than the verb push.
func (c Caller) Opening(l Log, ttl time.Duration, truncate bool) (logs.OpenOptions, error) {
	if truncate {
		if err := c.also(auth.Delete, l.id); err != nil {
			return logs.OpenOptions{}, err
		}
	}
	if ttl == 0 {
		ttl = logservice.DefaultTTL
	}
	return logs.OpenOptions{TTL: min(ttl, logservice.MaxTTL), Truncate: truncate}, nil
}

// Closing checks how logs are to be closed. The verb push suffices to close a
// log; replacing a stored log or discarding a live one requires more.
func (c Caller) Closing(how logs.Archiving, ids ...logservice.ID) error {
	verb := auth.Delete
	switch how {
	case logs.ArchiveIfMissing:
		return nil
	case logs.ArchiveAlways:
		verb = auth.Write
	case logs.ArchiveNever:
	}
	for _, id := range ids {
		if err := c.also(verb, id); err != nil {
			return err
		}
	}
	return nil
}
