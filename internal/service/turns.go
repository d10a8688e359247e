package service

import (
	"context"
	"errors"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

// turnWait is how long a writer of a blob waits for another one: shorter
// than clients wait for an answer, which then retry.
const turnWait = 8 * time.Second

// turns lets the writers of one identity go one after the other, so that
// what an append read is still what it replaces.
type turns struct {
	mu   sync.Mutex // guards held and turn.users
	held map[logservice.ID]*turn
}

type turn struct {
	slot  chan struct{} // has an element while somebody's turn is on
	users int           // that have or want the turn
}

// take waits for the turn of id; done ends it.
func (t *turns) take(ctx context.Context, id logservice.ID) (done func(), err error) {
	t.mu.Lock()
	if t.held == nil {
		t.held = make(map[logservice.ID]*turn)
	}
	u := t.held[id]
	if u == nil {
		u = &turn{slot: make(chan struct{}, 1)}
		t.held[id] = u
	}
	u.users++
	t.mu.Unlock()

	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if u.users--; u.users == 0 {
			delete(t.held, id)
		}
	}
	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case u.slot <- struct{}{}:
		return func() { <-u.slot; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	case <-timer.C:
		leave()
		return nil, &logservice.UnavailableError{Cause: errors.New("another writer of the same log is at work"), RetryAfter: time.Second}
	}
}
