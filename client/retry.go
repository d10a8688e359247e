package client

import (
	"context"
	"math/rand/v2"
	"time"

	logservice "github.com/harness/log-service"
)

// Retry configures how often and for how long requests are retried.
type Retry struct {
	// Total limits the time from the first failure to the last attempt. Zero
	// means no retries.
	Total time.Duration
	// First is the pause before the first retry. It doubles with each further
	// retry. Pauses are shortened at random by up to half, so that many clients
	// do not return at the same time.
	First time.Duration
	// Most is the longest pause, unless the server asks for a longer one in
	// Retry-After.
	Most time.Duration
}

// DefaultRetry retries for a minute, long enough for a server to restart.
func DefaultRetry() Retry {
	return Retry{Total: time.Minute, First: 100 * time.Millisecond, Most: 5 * time.Second}
}

func (r Retry) check() error {
	if r.Total < 0 || r.First < 0 || r.Most < r.First {
		return logservice.Invalidf("retry of total %v, first %v, most %v: none may be negative, and most not below first", r.Total, r.First, r.Most)
	}
	return nil
}

// pauses tracks the attempts of one operation.
type pauses struct {
	Retry
	failed time.Time // the first failure since the last success
	next   time.Duration
}

// after returns how long to wait before the next attempt, or false if there is
// none left. asked is the pause that the server asked for.
func (p *pauses) after(asked time.Duration) (time.Duration, bool) {
	now := time.Now()
	if p.failed.IsZero() {
		p.failed = now
		p.next = p.First
	}
	wait := p.next
	p.next = min(2*p.next, p.Most)
	if wait > 1 {
		wait -= rand.N(wait / 2)
	}
	wait = max(wait, asked)
	return wait, now.Add(wait).Sub(p.failed) <= p.Total && p.Total > 0
}

// succeeded starts over.
func (p *pauses) succeeded() { p.failed = time.Time{} }

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
