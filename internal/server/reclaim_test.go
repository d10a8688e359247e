package server

import (
	"context"
	"runtime/metrics"
	"testing"
	"time"
)

func TestTheMemoryOfABurstIsGivenBackOnceItIsQuiet(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); reclaim(ctx) }()
	defer func() { cancel(); <-ended }()

	var burst [][]byte
	for range 64 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		burst = append(burst, b)
	}
	inUse := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64() + s[1].Value.Uint64() + s[2].Value.Uint64()
	}
	peak := inUse()
	if len(burst) != 64 || peak < 64<<20 {
		t.Fatalf("the burst took only %d bytes", peak)
	}
	burst = nil
	for deadline := time.Now().Add(30 * time.Second); inUse() > peak-48<<20; {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d bytes are still held", inUse(), peak)
		}
		<-time.After(50 * time.Millisecond)
	}
}
