// Package backoff spaces the retries of everything that is retried: the calls of
// the client, archiving, offloading and reading from backends.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff yields the pauses between the attempts of one operation. They begin at
// First and double up to Most. Each is shortened at random by up to half, so that
// those who failed at the same time do not return at the same time. It must not be
// used concurrently.
type Backoff struct {
	First, Most time.Duration

	next time.Duration // zero: First
}

// Next returns the next pause. It is at least asked, the pause that the other side
// asked for; zero if it did not.
func (b *Backoff) Next(asked time.Duration) time.Duration {
	pause := max(b.next, b.First)
	b.next = min(2*pause, b.Most)
	if pause > 1 {
		pause -= rand.N(pause / 2)
	}
	return max(pause, asked)
}

// Reset starts over at First, after a success.
func (b *Backoff) Reset() { b.next = 0 }

// Wait waits for the next pause, or until ctx ends, and returns the cause of that.
func (b *Backoff) Wait(ctx context.Context) error { return Sleep(ctx, b.Next(0)) }

// Sleep waits for d, or until ctx ends, and returns the cause of that.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
