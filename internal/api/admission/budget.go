package admission

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

const (
	// shareOfFree limits what one account may hold to this multiple of the free
	// memory at that moment. A single account gets 4/5 of the budget, two get
	// 4/9 each, and some memory always remains for another account, so no tenant
	// can starve the others. (This is the dynamic threshold of Choudhury and
	// Hahne, known from shared-memory switches.)
	shareOfFree = 4
	// budgetWait is how long a body waits for capacity. Retries are cheaper than
	// queues, and clients wait 10 s for a response.
	budgetWait = 3 * time.Second
	// maxWaiting limits the bodies that wait at a time: all of them are scanned
	// whenever memory is released.
	maxWaiting = 1024
)

// Budget is the memory for all appends in flight, shared fairly between accounts.
// Create one with NewBudget.
type Budget struct {
	total int64

	mu      sync.Mutex // guards the fields below
	free    int64
	held    map[string]int64 // by account; without zero entries
	queue   []*waiter        // oldest first
	refused int64            // total so far
}

// waiter is a body waiting for capacity.
type waiter struct {
	account string
	n       int64
	granted chan struct{}
}

// NewBudget returns a budget of total bytes.
func NewBudget(total int64) *Budget {
	return &Budget{total: total, free: total, held: make(map[string]int64)}
}

// Take reserves n bytes for account, waiting up to budgetWait. If there is still
// no capacity, it returns an *logservice.UnavailableError.
func (b *Budget) Take(ctx context.Context, account string, n int64) error {
	b.mu.Lock()
	if b.give(account, n) {
		b.mu.Unlock()
		return nil
	}
	if len(b.queue) == maxWaiting {
		b.refused++
		b.mu.Unlock()
		return full()
	}
	w := &waiter{account, n, make(chan struct{})}
	b.queue = append(b.queue, w)
	b.mu.Unlock()
	return b.wait(ctx, w)
}

// Try reserves n bytes for account if that is possible at once.
func (b *Budget) Try(account string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.give(account, n)
}

func (b *Budget) wait(ctx context.Context, w *waiter) error {
	t := time.NewTimer(budgetWait)
	defer t.Stop()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	case <-t.C:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, w)
	if i < 0 {
		return nil // granted in the meantime
	}
	b.queue = slices.Delete(b.queue, i, i+1)
	if err := ctx.Err(); err != nil {
		return err
	}
	b.refused++
	return full()
}

func full() error {
	return &logservice.UnavailableError{Cause: errors.New("no memory left for request bodies"), RetryAfter: budgetWait}
}

// give reserves n bytes if the account's share allows it. The caller holds mu.
func (b *Budget) give(account string, n int64) bool {
	held := b.held[account] + n
	if n > b.free || held > shareOfFree*(b.free-n) {
		return false
	}
	b.free -= n
	b.held[account] = held
	return true
}

// Put releases n bytes and grants them to waiters: oldest first, skipping those
// whose account has used up its share.
func (b *Budget) Put(account string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	if held := b.held[account] - n; held > 0 {
		b.held[account] = held
	} else {
		delete(b.held, account)
	}
	if len(b.queue) == 0 {
		return
	}
	b.queue = slices.DeleteFunc(b.queue, func(w *waiter) bool {
		ok := b.give(w.account, w.n)
		if ok {
			close(w.granted)
		}
		return ok
	})
}

// Use returns the bytes held and how often there was no capacity.
func (b *Budget) Use() (held, refused int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total - b.free, b.refused
}
