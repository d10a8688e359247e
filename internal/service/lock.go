package service

import (
	"context"
	"errors"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

// lockWait is how long a writer of a blob waits for another one: shorter
// than clients wait for an answer, which then retry.
const lockWait = 8 * time.Second

// keyLocks has a lock per identity for the writers of its blob, so that an
// append replaces exactly what it has read.
type keyLocks struct {
	mu   sync.Mutex // guards byID and keyLock.users
	byID map[logservice.ID]*keyLock
}

type keyLock struct {
	held  chan struct{} // has an element while the lock is held
	users int           // that hold or want the lock
}

// lock waits for the lock of id.
func (k *keyLocks) lock(ctx context.Context, id logservice.ID) (unlock func(), err error) {
	k.mu.Lock()
	if k.byID == nil {
		k.byID = make(map[logservice.ID]*keyLock)
	}
	l := k.byID[id]
	if l == nil {
		l = &keyLock{held: make(chan struct{}, 1)}
		k.byID[id] = l
	}
	l.users++
	k.mu.Unlock()

	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.byID, id)
		}
	}
	timer := time.NewTimer(lockWait)
	defer timer.Stop()
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	case <-timer.C:
		leave()
		return nil, &logservice.UnavailableError{Cause: errors.New("another writer of the same log is at work"), RetryAfter: time.Second}
	}
}
