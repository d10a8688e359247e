package service

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// recountPause is the shortest time between two counts of the streams of an
	// account at its limit.
	recountPause = time.Second
	// idleAccount is how long an idle account is remembered.
	idleAccount = 10 * time.Minute
	// retryStored is the Retry-After if the account is full: somebody must
	// delete something.
	retryStored = 30 * time.Second
	// retryCount is the Retry-After if a stream or a reader must end first.
	retryCount = 5 * time.Second
)

// quota applies the limits of the accounts. It tracks what each of them uses:
// counted as it happens, and measured from time to time by run. Methods that
// return an error reject requests over a limit.
type quota struct {
	limits  Limits
	streams logs.Streams
	store   logs.Store
	log     *slog.Logger
	every   time.Duration // between two measurements of the open streams
	metrics *metrics

	mu     sync.RWMutex // guards byName; a usage may be changed under a read lock
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

func newQuota(c Config, m *metrics) *quota {
	return &quota{
		limits: c.Limits, streams: c.Streams, store: c.Store, log: c.Logger,
		every: c.MaintenanceInterval, metrics: m, byName: make(map[string]*usage),
	}
}

// mayOpen reports whether id's stream may be opened now. One that is open
// already may be opened again.
func (q *quota) mayOpen(ctx context.Context, id logservice.ID) error {
	if err := q.mayStore(id.Account); err != nil || q.limits.Streams <= 0 {
		return err
	}
	var full, due bool
	q.with(id.Account, func(u *usage) {
		if full = u.streams.Load() >= q.limits.Streams; full {
			now, last := time.Now().UnixNano(), u.recounted.Load()
			due = now-last > int64(recountPause) && u.recounted.CompareAndSwap(last, now)
		}
	})
	if !full {
		return nil
	}
	if due {
		n, err := q.recount(ctx, id.Account)
		if err != nil || n < q.limits.Streams {
			return err
		}
	}
	if _, err := q.streams.Append(ctx, id, logs.Lines{}); err == nil {
		return nil
	}
	return q.refuse(limitStreams, retryCount, "account %s has %d open streams already, as many as it may: close some", id.Account, q.limits.Streams)
}

// recount counts the open streams of an account.
func (q *quota) recount(ctx context.Context, account string) (n int64, err error) {
	infos, err := q.streams.List(ctx, logs.Filter{Account: account})
	if err != nil {
		return 0, err
	}
	for i := range infos {
		if !infos[i].Closed {
			n++
		}
	}
	q.with(account, func(u *usage) { u.streams.Store(n) })
	return n, nil
}

// opened counts n streams more, or fewer, until the next measurement.
func (q *quota) opened(name string, n int64) {
	if q.limits.Streams > 0 {
		q.with(name, func(u *usage) {
			u.streams.Add(n)
			u.changes.Add(1)
		})
	}
}

// mayFollow counts a reader; leave must be called when it ends.
func (q *quota) mayFollow(name string) (leave func(), err error) {
	if q.limits.Tails <= 0 {
		return func() {}, nil
	}
	q.with(name, func(u *usage) {
		if u.tails.Add(1) > q.limits.Tails {
			u.tails.Add(-1)
			err = q.refuse(limitTails, retryCount, "account %s has %d readers already, as many as it may", name, q.limits.Tails)
			return
		}
		leave = func() { u.tails.Add(-1) }
	})
	return leave, err
}

// mayAppend reports whether n bytes may be appended now, and counts them.
func (q *quota) mayAppend(name string, n int) (err error) {
	if n == 0 || q.limits.Rate <= 0 && q.limits.Stored <= 0 {
		return nil
	}
	q.with(name, func(u *usage) {
		if err = q.full(name, u); err != nil {
			return
		}
		if u.rate != nil {
			now := time.Now()
			r := u.rate.ReserveN(now, min(n, u.rate.Burst()))
			if wait := r.DelayFrom(now); wait > 0 {
				r.CancelAt(now)
				err = q.refuse(limitRate, wait, "account %s appends more than its limit of %d bytes per second", name, q.limits.Rate)
				return
			}
		}
		u.live.Add(int64(n))
	})
	return err
}

// mayStore reports whether the account may store more.
func (q *quota) mayStore(name string) (err error) {
	if q.limits.Stored > 0 {
		q.with(name, func(u *usage) { err = q.full(name, u) })
	}
	return err
}

func (q *quota) full(name string, u *usage) error {
	if q.limits.Stored <= 0 || u.live.Load()+u.stored.Load() < q.limits.Stored {
		return nil
	}
	return q.refuse(limitStored, retryStored, "account %s keeps as much as the %d bytes that it may: delete some logs", name, q.limits.Stored)
}

// counted counts what r yields as stored.
func (q *quota) counted(name string, r io.Reader) io.Reader {
	if q.limits.Stored <= 0 {
		return r
	}
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		q.with(name, func(u *usage) { u.stored.Add(int64(n)) })
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// refuse counts a rejection and returns its error.
func (q *quota) refuse(limit string, wait time.Duration, format string, args ...any) error {
	q.metrics.refused.WithLabelValues(limit).Inc()
	return &limitError{&logservice.UnavailableError{Cause: logservice.Errorf(logservice.ErrLimit, format, args...), RetryAfter: wait}}
}

// with calls f with the usage of an account, which stays in the table
// meanwhile.
func (q *quota) with(name string, f func(*usage)) {
	q.mu.RLock()
	u := q.byName[name]
	if u == nil {
		q.mu.RUnlock()
		q.add(name)
		q.with(name, f)
		return
	}
	defer q.mu.RUnlock()
	u.touched.Store(time.Now().Unix())
	f(u)
}

func (q *quota) add(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byName[name] != nil {
		return
	}
	u := &usage{}
	u.touched.Store(time.Now().Unix())
	if q.limits.Rate > 0 {
		u.rate = rate.NewLimiter(rate.Limit(q.limits.Rate), int(max(q.limits.Burst, q.limits.Rate)))
	}
	q.byName[name] = u
}
