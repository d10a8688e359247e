package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// reclaimEvery is how often the heap is checked: memory that a burst took is
	// returned some seconds later.
	reclaimEvery = time.Second
	// quietBytes is how much a quiet second may allocate: the idle work of ten
	// thousand tails.
	quietBytes = 4 << 20
	// reclaimBytes is how much must have been allocated since the last collection
	// to make another one worthwhile.
	reclaimBytes = 16 << 20
)

// reclaim returns memory to the system after a burst. The runtime collects when the
// heap has doubled, which takes long in a quiet server, and until then keeps the
// memory that a thousand arriving readers once needed.
func reclaim(ctx context.Context) {
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	read := func() uint64 {
		metrics.Read(allocated)
		return allocated[0].Value.Uint64()
	}
	last := read()
	before := last // when memory was last returned
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
