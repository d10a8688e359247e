package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// checkWait bounds the time of Check: probes run every few seconds, and
	// time out after one or a few.
	checkWait = time.Second
	// partWait is the part of it after which a backend describes a hang itself.
	partWait = 800 * time.Millisecond
)

// health probes the backends that can report whether they work.
type health []*probe

// newHealth returns one probe per backend that is a Checker.
func newHealth(c Config) (all health) {
	for _, part := range []struct {
		name string
		any
	}{{"live logs", c.Streams}, {"stored logs", c.Store}} {
		if c, ok := part.any.(logs.Checker); ok {
			all = append(all, &probe{name: part.name, part: c})
		}
	}
	return all
}

// Check returns why the service cannot accept work: what is wrong with its
// engine or its store, if these are Checkers. Every call checks again, within a
// second: what takes longer counts as hung.
func (h health) Check(ctx context.Context) error {
	var wrong []error
	for _, p := range h {
		if err := p.check(ctx); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// probe checks one backend, one check at a time. If that hangs, for example on
// a disk that does not respond, other callers wait for the same check and add
// no goroutine.
type probe struct {
	name string
	part logs.Checker

	mu  sync.Mutex
	now *question // guarded by mu; nil: no check is running
}

type question struct {
	began time.Time
	done  chan struct{} // closed with err set
	err   error
}

func (p *probe) check(ctx context.Context) error {
	p.mu.Lock()
	q := p.now
	if q == nil {
		q = &question{began: time.Now(), done: make(chan struct{})}
		p.now = q
		go p.ask(q) //nolint:gosec // the check does not belong to one request: others wait for it, too
	}
	p.mu.Unlock()
	t := time.NewTimer(checkWait - time.Since(q.began))
	defer t.Stop()
	select {
	case <-q.done:
		if q.err != nil {
			return fmt.Errorf("%s: %v", p.name, reason(q.err))
		}
		return nil
	case <-t.C:
	case <-ctx.Done():
	}
	return logservice.Errorf(logservice.ErrUnavailable, "%s: no answer for %v", p.name, time.Since(q.began).Round(time.Millisecond))
}

func (p *probe) ask(q *question) {
	ctx, cancel := context.WithTimeout(context.Background(), partWait)
	defer cancel()
	q.err = p.part.Check(ctx)
	p.mu.Lock()
	p.now = nil
	p.mu.Unlock()
	close(q.done)
}

// reason is the message of an error, without the fact that something is
// unavailable and without file names: anybody can request it.
func reason(err error) error {
	if u, ok := errors.AsType[*logservice.UnavailableError](err); ok && u.Cause != nil {
		err = u.Cause
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return fmt.Errorf("%s: %w", l.Op, l.Err)
	}
	return err
}
