package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// noEviction is the policy of a full Redis under which it drops no live logs.
const noEviction = "noeviction"

// policyRefresh is how often the policy of a running Redis is read again.
const policyRefresh = time.Minute

// policy is what is known about what Redis does when it is full.
type policy struct {
	redis *client
	log   *slog.Logger

	mu     sync.Mutex // guards what follows
	name   string     // maxmemory-policy; empty: this node may not read it
	evicts time.Time  // until when an evicted canary counts
	info   bool       // this node may call INFO
}

// evictsError reports the policy of a Redis that evicts.
type evictsError struct{ addr, policy string }

func (e *evictsError) Error() string {
	return fmt.Sprintf("the maxmemory-policy of %s is %s: when it is full it drops live logs", e.addr, e.policy)
}

// check reads maxmemory-policy of every known Redis, if permitted, and rejects
// those that evict.
func (p *policy) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, info := "", false
	var refused error
	for addr, c := range p.redis.Nodes() {
		name, ok := readPolicy(ctx, c)
		info = info || ok
		if name != "" {
			found = name
		}
		if name != "" && name != noEviction {
			refused = &evictsError{addr, name}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.info = found, info
	if refused != nil {
		p.name = refused.(*evictsError).policy
	}
	return refused
}

// recheck reads the policy again, in the background.
func (p *policy) recheck(ctx context.Context) {
	if err := p.check(ctx); err != nil {
		p.log.Error("Redis evicts live logs when it is full", "error", err)
	}
}

// readPolicy returns the policy of one Redis, empty if it may not be read; info
// reports whether INFO may be called.
func readPolicy(ctx context.Context, c rueidis.Client) (name string, info bool) {
	text, err := c.Do(ctx, c.B().Info().Section("memory").Build()).ToString()
	info = err == nil
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok {
			return strings.TrimSpace(v), info
		}
	}
	config, _ := c.Do(ctx, c.B().ConfigGet().Parameter("maxmemory-policy").Build()).AsStrMap() // an error: not allowed
	return config["maxmemory-policy"], info
}

// checkFrequencies checks, if the policy cannot be read, whether Redis counts
// how often keys are used: it does so only to evict others.
func (p *policy) checkFrequencies(ctx context.Context, root string) error {
	p.mu.Lock()
	known := p.name != ""
	p.mu.Unlock()
	if known {
		return nil
	}
	if err := p.redis.Do(ctx, p.redis.B().ObjectFreq().Key(root+"canary").Build()).Error(); err != nil {
		return nil //nolint:nilerr // it counts none
	}
	return &evictsError{"the Redis of " + root, "one that evicts the least frequently used"}
}

// observe records for how much longer an evicted canary of a bucket counts;
// none if not positive.
func (p *policy) observe(left time.Duration) {
	if left <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left() <= 0 && p.name != noEviction {
		p.log.Error("Redis evicts live logs when it is full: set its maxmemory-policy to noeviction")
	}
	if until := time.Now().Add(left); until.After(p.evicts) {
		p.evicts = until
	}
}

// left is how much longer an evicted canary counts. The caller holds mu.
func (p *policy) left() time.Duration { return time.Until(p.evicts) }

// evicted is an argument of scripts: the milliseconds for which an evicted
// canary still counts. A Redis that evicts may also evict its record of that.
func (p *policy) evicted() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name == noEviction {
		return "0"
	}
	return itoa(max(0, p.left().Milliseconds()))
}

// err is what is wrong with the policy of Redis.
func (p *policy) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name == noEviction || p.name == "" && p.left() <= 0 {
		return nil
	}
	return errEvicts
}

var errEvicts = errors.New("evicts: maxmemory-policy is not noeviction")

// mayInfo is an argument of scripts: whether they may call INFO. Without
// permission the calls would fill Redis's list of rejected calls.
func (p *policy) mayInfo() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.info {
		return "1"
	}
	return "0"
}
