package proctest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// tick is the resolution of a Clock.
const tick = 10 * time.Millisecond

// Clock measures how long something takes, without the time in which this process
// had no processor: ticks that come while it waits for one are lost. A limit that
// holds on a quiet machine so holds on one that is busy with something else.
type Clock struct{ ticks atomic.Int64 }

// StartClock returns a clock that runs until the test ends.
func StartClock(t testing.TB) *Clock {
	c, ticker := &Clock{}, time.NewTicker(tick)
	done := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() {
		stop()
		<-done
	})
	go func() {
		defer close(done)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.ticks.Add(1)
			case <-ctx.Done():
				return
			}
		}
	}()
	return c
}

// Elapsed returns the time since the start.
func (c *Clock) Elapsed() time.Duration { return time.Duration(c.ticks.Load()) * tick }
