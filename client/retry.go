package client

import (
	"context"
	"math/rand/v2"
	"time"

	logservice "github.com/harness/log-service"
)

// Retry says how long, and how patiently, a request is repeated.
type Retry struct {
	// Total bounds the time from the first failure to the last attempt. Zero
	// sends every request once.
	Total time.Duration
	// First is the pause before the first repetition; each further one is
	// twice as long. A random part of up to a half is taken off, so that many
	// clients do not come back at once.
	First time.Duration
	// Most is the longest pause. A server that asks for a longer one, with
	// Retry-After, is obeyed.
	Most time.Duration
}

// DefaultRetry repeats for a minute: long enough for a server to restart.
func DefaultRetry() Retry {
	return Retry{Total: time.Minute, First: 100 * time.Millisecond, Most: 5 * time.Second}
}

func (r Retry) check() error {
	if r.Total < 0 || r.First < 0 || r.Most < r.First {
		return logservice.Invalidf("retry of total %v, first %v, most %v: none may be negative, and most not below first", r.Total, r.First, r.Most)
	}
	return nil
}

// pauses counts the attempts of one piece of work.
type pauses struct {
	Retry
	failed time.Time // the first failure since the last success
	next   time.Duration
}

// after returns how long to wait before the next attempt, asked being what
// the server wants, or false when there is to be none.
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

// succeeded begins anew.
func (p *pauses) succeeded() { p.failed = time.Time{} }

// sleep waits for d or the end of ctx.
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
