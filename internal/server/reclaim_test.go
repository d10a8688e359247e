package server

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestTheMemoryOfABurstIsReturnedWhenQuiet(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); reclaim(ctx) }()
	defer func() { cancel(); <-ended }()

	inUse := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64() + s[1].Value.Uint64() + s[2].Value.Uint64()
	}
	var peak uint64
	func() {
		var burst [][]byte
		for range 64 {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			burst = append(burst, b)
		}
		peak = inUse()
		runtime.KeepAlive(burst)
	}()
	if peak < 64<<20 {
		t.Fatalf("the burst took only %d bytes", peak)
	}
	for deadline := time.Now().Add(30 * time.Second); inUse() > peak-48<<20; {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d bytes are still held", inUse(), peak)
		}
		<-time.After(50 * time.Millisecond)
	}
}
