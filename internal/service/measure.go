package service

import (
	"context"
	"time"

	"github.com/harness/log-service/internal/logs"
)

const (
	// measureEvery is how often what an account stores is summed up: listing
	// a store costs requests and time.
	measureEvery = 5 * time.Minute
	// measureShare bounds the time that goes into it: a listing is repeated
	// after this many times what it took, at the earliest.
	measureShare = 20
)

// measure keeps what limited accounts use up to date, until ctx ends: what
// they have open, and what they have stored.
func (s *Service) measure(ctx context.Context) {
	limits := s.accounts.limits
	if limits == (Limits{}) {
		return
	}
	t := time.NewTicker(s.sweeps)
	defer t.Stop()
	for {
		if err := s.measureStreams(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot count open streams; account limits use the last count", "error", err)
		}
		for _, name := range s.accounts.unmeasured(time.Now()) {
			if err := s.measureAccount(ctx, name); err != nil && ctx.Err() == nil {
				s.log.Warn("cannot measure the stored size of an account; its limit uses the last value", "account", name, "error", err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) measureStreams(ctx context.Context) (err error) {
	before := s.accounts.changes()
	var infos []logs.Info
	if l := s.accounts.limits; l.Streams > 0 || l.Stored > 0 {
		if infos, err = s.streams.List(ctx, logs.Filter{}); err != nil {
			return err
		}
	}
	s.accounts.sweep(infos, before, time.Now())
	return nil
}

// unmeasured are the accounts whose sum is due.
func (a *accounts) unmeasured(now time.Time) (names []string) {
	if a.limits.Stored <= 0 {
		return nil
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	for name, u := range a.byName {
		if now.Sub(u.measured) >= max(measureEvery, measureShare*u.took) {
			names = append(names, name)
		}
	}
	return names
}

func (s *Service) measureAccount(ctx context.Context, name string) (err error) {
	begun := time.Now()
	total := int64(0)
	for e, lerr := range s.store.List(ctx, name, "") {
		if lerr != nil {
			err = lerr
			break
		}
		total += e.Info.Size
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	u := s.accounts.byName[name]
	if u == nil {
		return err
	}
	u.measured, u.took = time.Now(), time.Since(begun)
	if err == nil {
		u.stored.Store(total)
	}
	return err
}
