package service

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Limits bound what one account may take of what all share. Zero is no limit.
// What lies beyond is refused with logservice.ErrLimit, which is
// ErrUnavailable: clients drop a log for less. Lines that were acknowledged
// are archived past every limit.
type Limits struct {
	// Streams is how many streams may be open. It is kept about: what several
	// nodes, or retries, open at the same moment is seen at the next count.
	Streams int64
	// Tails is how many readers may follow logs of the account at a time, on
	// this node.
	Tails int64
	// Rate is how many bytes of JSON may be appended a second, on this node;
	// Burst how many at once after a pause, and no less than Rate.
	Rate, Burst int64
	// Stored is how many bytes live and stored logs may have together, about:
	// the store is asked every few minutes, and counted from then on. Past it
	// nothing is opened, appended or uploaded.
	Stored int64
}

const (
	// recountPause is how often at most an account at its limit of streams has
	// them counted anew.
	recountPause = time.Second
	// idleAccount is how long an account that does nothing is remembered.
	idleAccount = 10 * time.Minute
	// retryStored is how long clients are told to wait where the account is
	// full: somebody must delete something.
	retryStored = 30 * time.Second
	// retryCount is the same where somebody must close or go away.
	retryCount = 5 * time.Second
)

// The limits as metrics name them.
const (
	limitStreams = "streams"
	limitTails   = "tails"
	limitRate    = "rate"
	limitStored  = "stored"
)

// accounts keep what each account uses at the moment.
type accounts struct {
	limits Limits

	mu     sync.RWMutex // guards byName; readers may change what a usage holds
	byName map[string]*usage
}

// usage is what one account uses.
type usage struct {
	tails     atomic.Int64
	streams   atomic.Int64
	changes   atomic.Int64 // of streams
	live      atomic.Int64 // bytes of open streams
	stored    atomic.Int64 // bytes
	touched   atomic.Int64 // Unix seconds of the last request
	recounted atomic.Int64 // Unix nanoseconds of the last recount
	rate      *rate.Limiter

	// measured is when stored was, and took how long; the measurer's alone.
	measured time.Time
	took     time.Duration
}

func newAccounts(l Limits) *accounts {
	return &accounts{limits: l, byName: make(map[string]*usage)}
}

// with calls f with the usage of an account, which stays in the table
// meanwhile.
func (a *accounts) with(name string, f func(*usage)) {
	a.mu.RLock()
	u := a.byName[name]
	if u == nil {
		a.mu.RUnlock()
		a.add(name)
		a.with(name, f)
		return
	}
	defer a.mu.RUnlock()
	u.touched.Store(time.Now().Unix())
	f(u)
}

func (a *accounts) add(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byName[name] != nil {
		return
	}
	u := &usage{}
	u.touched.Store(time.Now().Unix())
	if a.limits.Rate > 0 {
		u.rate = rate.NewLimiter(rate.Limit(a.limits.Rate), int(max(a.limits.Burst, a.limits.Rate)))
	}
	a.byName[name] = u
}

// follow counts a reader; leave must be called when it goes.
func (a *accounts) follow(name string) (leave func(), err error) {
	if a.limits.Tails <= 0 {
		return func() {}, nil
	}
	a.with(name, func(u *usage) {
		if u.tails.Add(1) > a.limits.Tails {
			u.tails.Add(-1)
			err = limited(limitTails, retryCount, "account %s has %d readers already, as many as it may", name, a.limits.Tails)
			return
		}
		leave = func() { u.tails.Add(-1) }
	})
	return leave, err
}

// appended lets an append of n bytes pass, or not now.
func (a *accounts) appended(name string, n int) (err error) {
	if n == 0 || a.limits.Rate <= 0 && a.limits.Stored <= 0 {
		return nil
	}
	a.with(name, func(u *usage) {
		if err = a.full(name, u); err != nil {
			return
		}
		if u.rate != nil {
			now := time.Now()
			r := u.rate.ReserveN(now, min(n, u.rate.Burst()))
			if wait := r.DelayFrom(now); wait > 0 {
				r.CancelAt(now)
				err = limited(limitRate, wait, "account %s appends more than the %d bytes a second that it may", name, a.limits.Rate)
				return
			}
		}
		u.live.Add(int64(n))
	})
	return err
}

// stores lets something be stored, or not now.
func (a *accounts) stores(name string) (err error) {
	if a.limits.Stored > 0 {
		a.with(name, func(u *usage) { err = a.full(name, u) })
	}
	return err
}

func (a *accounts) full(name string, u *usage) error {
	if a.limits.Stored <= 0 || u.live.Load()+u.stored.Load() < a.limits.Stored {
		return nil
	}
	return limited(limitStored, retryStored, "account %s keeps as much as the %d bytes that it may: delete some logs", name, a.limits.Stored)
}

// counted counts what r yields as stored.
func (a *accounts) counted(name string, r io.Reader) io.Reader {
	if a.limits.Stored <= 0 {
		return r
	}
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		a.with(name, func(u *usage) { u.stored.Add(int64(n)) })
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// limitError names the limit for metrics.
type limitError struct {
	*logservice.UnavailableError
	limit string
}

func (e *limitError) Unwrap() error { return e.UnavailableError }
func (e *limitError) Error() string { return e.Cause.Error() }

func limited(limit string, wait time.Duration, format string, args ...any) error {
	return &limitError{&logservice.UnavailableError{Cause: logservice.Errorf(logservice.ErrLimit, format, args...), RetryAfter: wait}, limit}
}

// refused counts a refusal; other errors pass.
func (s *Service) refused(err error) error {
	if l, ok := errors.AsType[*limitError](err); ok {
		s.metrics.refused.WithLabelValues(l.limit).Inc()
	}
	return err
}

// mayOpen lets a stream be opened, or not now. One that is open already may be
// opened again.
func (s *Service) mayOpen(ctx context.Context, id logservice.ID) error {
	a := s.accounts
	if err := a.stores(id.Account); err != nil || a.limits.Streams <= 0 {
		return err
	}
	var at, due bool
	a.with(id.Account, func(u *usage) {
		if at = u.streams.Load() >= a.limits.Streams; at {
			now, last := time.Now().UnixNano(), u.recounted.Load()
			due = now-last > int64(recountPause) && u.recounted.CompareAndSwap(last, now)
		}
	})
	if !at {
		return nil
	}
	if due {
		infos, err := s.streams.List(ctx, logs.Filter{Account: id.Account})
		if err != nil {
			return err
		}
		n := int64(0)
		for i := range infos {
			if !infos[i].Closed {
				n++
			}
		}
		a.with(id.Account, func(u *usage) { u.streams.Store(n) })
		if n < a.limits.Streams {
			return nil
		}
	}
	if _, err := s.Next(ctx, id); err == nil {
		return nil
	}
	return limited(limitStreams, retryCount, "account %s has %d open streams already, as many as it may: close some", id.Account, a.limits.Streams)
}

// opened and closed count streams between two sweeps.
func (a *accounts) opened(name string, n int64) {
	if a.limits.Streams > 0 {
		a.with(name, func(u *usage) {
			u.streams.Add(n)
			u.changes.Add(1)
		})
	}
}

// changes is how often each account has opened or closed streams.
func (a *accounts) changes() map[string]int64 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	m := make(map[string]int64, len(a.byName))
	for name, u := range a.byName {
		m[name] = u.changes.Load()
	}
	return m
}

// sweep sets what there is of live streams, listed since before was asked of
// changes, and forgets idle accounts. An account that opened or closed
// streams meanwhile keeps its own count: the list may be older.
func (a *accounts) sweep(infos []logs.Info, before map[string]int64, now time.Time) {
	type sum struct{ streams, bytes int64 }
	sums := make(map[string]sum)
	for i := range infos {
		x := sums[infos[i].ID.Account]
		if !infos[i].Closed {
			x.streams++
		}
		x.bytes += infos[i].Bytes
		sums[infos[i].ID.Account] = x
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, u := range a.byName {
		x, busy := sums[name]
		if n, ok := before[name]; ok && n == u.changes.Load() {
			u.streams.Store(x.streams)
		}
		u.live.Store(x.bytes)
		if !busy && u.tails.Load() == 0 && now.Unix()-u.touched.Load() > int64(idleAccount/time.Second) {
			delete(a.byName, name)
		}
	}
}
