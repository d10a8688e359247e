package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	logservice "github.com/harness/log-service"
)

func TestOneAccountCannotTakeTheMemoryOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1000)
		ctx := t.Context()
		for n := range 800 {
			if err := b.Take(ctx, "flood", 1); err != nil {
				t.Fatal(n, err)
			}
		}
		// One account alone gets no more than its share.
		begun := time.Now()
		err := b.Take(ctx, "flood", 1)
		var u *logservice.UnavailableError
		if !errors.As(err, &u) || u.RetryAfter <= 0 {
			t.Fatalf("past its share: %v, want unavailable with a time to wait", err)
		}
		if waited := time.Since(begun); waited != budgetWait {
			t.Errorf("waited %v, want %v", waited, budgetWait)
		}
		// Others get theirs at once, even a third one.
		for _, account := range []string{"second", "third"} {
			if err := b.Take(ctx, account, 30); err != nil {
				t.Errorf("%s: %v", account, err)
			}
		}
		if held, refused := b.Use(); held != 860 || refused != 1 {
			t.Errorf("%d held, %d refused; want 860 and 1", held, refused)
		}
	})
}

func TestFreedMemoryGoesToTheOldestEligibleWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1000)
		if err := b.Take(t.Context(), "a", 800); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		want := func(account string, n int64) {
			go func() {
				err := b.Take(t.Context(), account, n)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, fmt.Sprint(account, " ", err == nil))
			}()
			synctest.Wait()
		}
		want("b", 300)
		want("a", 150) // has used up its share
		want("c", 180)
		if len(order) != 0 {
			t.Fatalf("%v did not wait", order)
		}
		b.Put("a", 100) // 300 free: not enough share for b's request, and a still has its own
		synctest.Wait()
		mu.Lock()
		if fmt.Sprint(order) != "[c true]" {
			t.Errorf("got %v first, want c past those who may not", order)
		}
		mu.Unlock()
		b.Put("a", 600) // a and c hold 100
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(order) != 3 {
			t.Errorf("with capacity for all, %v were served", order)
		}
		if len(b.queue) != 0 {
			t.Errorf("%d left waiting", len(b.queue))
		}
	})
}

func TestACancelledWaiterTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		if err := b.Take(t.Context(), "a", 80); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { left <- b.Take(ctx, "b", 50) }()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		b.Put("a", 80)
		if held, _ := b.Use(); held != 0 || len(b.held) != 0 || len(b.queue) != 0 {
			t.Errorf("%d held by %v, %d waiting", held, b.held, len(b.queue))
		}
	})
}
