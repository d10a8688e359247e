package proctest

import (
	"testing"
	"time"
)

// Whatever the machine does, a clock is never ahead of the time; and it runs.
func TestAClockRunsAndIsNeverAhead(t *testing.T) {
	begun := time.Now()
	c := StartClock(t)
	for last := time.Duration(0); last < 20*tick; {
		now := c.Elapsed()
		if real := time.Since(begun); now > real {
			t.Fatalf("the clock is at %v after %v", now, real)
		}
		last = now
	}
}
