package redis_test

import (
	"errors"
	"io"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// A connection that ends is not the end of a log.
func TestARedisThatGoesAwayIsNoEndOfALog(t *testing.T) {
	s := redistest.Start(t)
	n := newNodes(t, 1, redis.Config{Addresses: []string{s.Addr}})[0]
	l := newLog(t, n)
	l.write(10)
	c := l.follow(n, 0)
	defer c.Close()
	s.Kill()
	for range 20 {
		_, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) || !errors.Is(err, logservice.ErrUnavailable) {
			t.Fatalf("reading from a Redis that is away: %v", err)
		}
		if _, err := n.Follow(t.Context(), l.id, 0); errors.Is(err, io.EOF) || !errors.Is(err, logservice.ErrUnavailable) {
			t.Fatalf("following in a Redis that is away: %v", err)
		}
	}
	l.awaitState(n, "Redis cannot be reached")
	s.Restart()
	l.expect(calm{c}, 0) // connections from before the restart may still fail
	l.write(1)
	l.expect(calm{c}, 10)
	s.Pause()
	l.awaitState(n, "Redis does not answer")
	s.Resume()
	// Calls of before may still time out, and their connection ends with them.
	eventually(t, "one that works is healthy", func() bool { return n.Check(t.Context()) == nil })
	l.write(1)
	l.expect(calm{c}, 11)
}
