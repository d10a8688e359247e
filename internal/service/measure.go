package service

import (
	"context"
	"time"

	"github.com/harness/log-service/internal/logs"
)

const (
	// measureEvery is how often an account's stored bytes are summed: listing a
	// store costs requests and time.
	measureEvery = 5 * time.Minute
	// measureShare bounds the time spent on it: a listing is repeated after
	// this multiple of its duration at the earliest.
	measureShare = 20
)

// run keeps what limited accounts use up to date, until ctx ends: what
// they have open, and what they have stored.
func (q *quota) run(ctx context.Context) {
	if q.limits == (Limits{}) {
		return
	}
	t := time.NewTicker(q.every)
	defer t.Stop()
	for {
		if err := q.measureStreams(ctx); err != nil && ctx.Err() == nil {
			q.log.Warn("cannot count open streams; account limits use the last count", "error", err)
		}
		for _, name := range q.unmeasured(time.Now()) {
			if err := q.measureAccount(ctx, name); err != nil && ctx.Err() == nil {
				q.log.Warn("cannot measure the stored size of an account; its limit uses the last value", "account", name, "error", err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (q *quota) measureStreams(ctx context.Context) (err error) {
	before := q.changes()
	var infos []logs.Info
	if l := q.limits; l.Streams > 0 || l.Stored > 0 {
		if infos, err = q.streams.List(ctx, logs.Filter{}); err != nil {
			return err
		}
	}
	q.update(infos, before, time.Now())
	return nil
}

// changes is how often each account has opened or closed streams.
func (q *quota) changes() map[string]int64 {
	q.mu.RLock()
	defer q.mu.RUnlock()
	m := make(map[string]int64, len(q.byName))
	for name, u := range q.byName {
		m[name] = u.changes.Load()
	}
	return m
}

// update sets the use by live streams, which were listed after before was read
// from changes, and forgets idle accounts. An account that opened or closed
// streams meanwhile keeps its own count, because the list may be older.
func (q *quota) update(infos []logs.Info, before map[string]int64, now time.Time) {
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
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, u := range q.byName {
		x, busy := sums[name]
		if n, ok := before[name]; ok && n == u.changes.Load() {
			u.streams.Store(x.streams)
		}
		u.live.Store(x.bytes)
		if !busy && u.tails.Load() == 0 && now.Unix()-u.touched.Load() > int64(idleAccount/time.Second) {
			delete(q.byName, name)
		}
	}
}

// unmeasured are the accounts whose sum is due.
func (q *quota) unmeasured(now time.Time) (names []string) {
	if q.limits.Stored <= 0 {
		return nil
	}
	q.mu.RLock()
	defer q.mu.RUnlock()
	for name, u := range q.byName {
		if now.Sub(u.measured) >= max(measureEvery, measureShare*u.took) {
			names = append(names, name)
		}
	}
	return names
}

func (q *quota) measureAccount(ctx context.Context, name string) (err error) {
	begun := time.Now()
	total := int64(0)
	for e, lerr := range q.store.List(ctx, name, "") {
		if lerr != nil && !isDamage(lerr) { // a damaged record has no size
			err = lerr
			break
		}
		total += e.Bytes
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.byName[name]
	if u == nil {
		return err
	}
	u.measured, u.took = time.Now(), time.Since(begun)
	if err == nil {
		u.stored.Store(total)
	}
	return err
}
