package client

import (
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/backoff"
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

// within returns r with another limit, unless r means no retries.
func (r Retry) within(total time.Duration) Retry {
	if r.Total > 0 {
		r.Total = total
	}
	return r
}

func (r Retry) check() error {
	if r.Total < 0 || r.First < 0 || r.Most < r.First {
		return logservice.Invalidf("retry of total %v, first %v, most %v: none may be negative, and most not below first", r.Total, r.First, r.Most)
	}
	return nil
}

// pauses tracks the attempts of one operation.
type pauses struct {
	backoff.Backoff
	total  time.Duration
	failed time.Time // the first failure since the last success
}

func (r Retry) pauses() pauses {
	return pauses{Backoff: backoff.Backoff{First: r.First, Most: r.Most}, total: r.Total}
}

// after returns how long to wait before the next attempt, or false if there is
// none left. asked is the pause that the server asked for.
func (p *pauses) after(asked time.Duration) (time.Duration, bool) {
	now := time.Now()
	if p.failed.IsZero() {
		p.failed = now
		p.Reset()
	}
	wait := p.Next(asked)
	return wait, now.Add(wait).Sub(p.failed) <= p.total && p.total > 0
}

// succeeded starts over.
func (p *pauses) succeeded() { p.failed = time.Time{} }
