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
	// shareOfFree bounds what one account may hold: this many times what is
	// free then. Alone it gets 4/5 of the budget, two get 4/9 each, and there
	// is always something left for an account that comes only now: no tenant
	// can take the memory that another one needs. (It is the dynamic threshold
	// of Choudhury and Hahne, from the shared memory of switches.)
	shareOfFree = 4
	// budgetWait is how long a body waits for capacity: retries are cheaper than
	// queues, and clients wait 10 s for an answer.
	budgetWait = 3 * time.Second
	// maxWaiting bounds the bodies that wait at a time: each is looked at
	// whenever memory comes back.
	maxWaiting = 1024
)

// Budget is the memory for what all appends in flight carry, shared fairly
// between accounts. Make one with NewBudget.
type Budget struct {
	total int64

	mu      sync.Mutex // guards what follows
	free    int64
	held    map[string]int64 // by account; none of zero
	queue   []*waiter        // oldest first
	refused int64            // so far
}

// waiter is a body that waits for capacity.
type waiter struct {
	account string
	n       int64
	granted chan struct{}
}

// NewBudget returns a budget of total bytes.
func NewBudget(total int64) *Budget {
	return &Budget{total: total, free: total, held: make(map[string]int64)}
}

// Take gives n bytes to account, waiting a little for them;
// an *logservice.UnavailableError where there is no capacity then.
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
		return nil // granted just now
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

// give takes n bytes for account where its share allows it. Called with mu.
func (b *Budget) give(account string, n int64) bool {
	held := b.held[account] + n
	if n > b.free || held > shareOfFree*(b.free-n) {
		return false
	}
	b.free -= n
	b.held[account] = held
	return true
}

// Put takes n bytes back, and gives them to those who wait: the oldest first,
// but past those whose account has its share.
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

// Use is how much is held, and how often there was no capacity.
func (b *Budget) Use() (held, refused int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total - b.free, b.refused
}
