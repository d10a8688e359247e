package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// reclaimEvery is how often the heap is looked at: memory that a burst
	// took is given back some seconds after it.
	reclaimEvery = time.Second
	// quietBytes is what a second may allocate and still count as quiet: the
	// idle work of ten thousand tails.
	quietBytes = 4 << 20
	// reclaimBytes is how much must have been allocated since the last time to
	// make a collection worth its while.
	reclaimBytes = 16 << 20
)

// reclaim gives memory back to the system once a burst is over: the runtime
// collects when the heap has doubled, which in a quiet server comes late, and
// until then keeps what a thousand arriving readers once needed.
func reclaim(ctx context.Context) {
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	read := func() uint64 {
		metrics.Read(allocated)
		return allocated[0].Value.Uint64()
	}
	last := read()
	before := last // when memory was given back
	tick := time.NewTicker(reclaimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := read()
		if now-last < quietBytes && now-before > reclaimBytes {
			debug.FreeOSMemory()
			before = now
		}
		last = now
	}
}
