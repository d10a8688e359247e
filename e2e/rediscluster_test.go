package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestLogsSurviveFailOversOfACluster kills the masters of a Cluster one after
// another; the replica that takes over has everything acknowledged.
func TestLogsSurviveFailOversOfACluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	c.AddReplicas()
	f := newFleet(t, program(t), "LOG_SERVICE_REDIS_ENDPOINT="+strings.Join(c.Addrs(), ","), "LOG_SERVICE_REDIS_REPLICAS=1")
	f.run(streamtest.Scale(20_000, 30_000, 1_000_000), 6, faultRounds(), func(round int) {
		master := c.Masters[round%len(c.Masters)]
		if !strings.Contains(master.Do("KEYS", "*"), "/faults") {
			t.Errorf("the master that is killed in round %d has no log: this shows little", round)
		}
		c.FailOver(round % len(c.Masters))
	})
}

// TestLogsSurviveTheMovingOfSlots migrates all slots with keys between masters, key
// by key, while logs are opened, written, followed, closed and archived.
func TestLogsSurviveTheMovingOfSlots(t *testing.T) {
	t.Parallel()
	rounds := streamtest.Scale(1, 1, 10)
	limit := hangLimit + time.Duration(rounds)*time.Minute
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	c := redistest.StartCluster(t, 3)
	f := newFleet(t, program(t), "LOG_SERVICE_REDIS_ENDPOINT="+strings.Join(c.Addrs(), ","))
	l := newLoad(ctx, newWire(f.door.url()))
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	moved := 0
	for range rounds {
		for slot, from := range c.Slots() {
			to := c.Masters[0]
			for i, m := range c.Masters {
				if m == from {
					to = c.Masters[(i+1)%len(c.Masters)]
				}
			}
			c.MoveSlot(slot, from, to, func() { moved++ })
			if err := l.progress(20, 2*time.Second); err != nil {
				t.Fatalf("after %d keys were moved: %v", moved, err)
			}
		}
	}
	if err := l.finish(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d keys were moved, %d batches acknowledged, %d short logs", moved, l.acks.Load(), l.short.Load())
	for key, log := range l.logs {
		if err := log.check(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}
