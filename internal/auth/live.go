package auth

import (
	"strings"
	"sync"
	"time"

	"github.com/harness/log-service/internal/reload"
)

// live is what goes on with tokens that were verified, and ends if one of them is
// revoked.
type live struct {
	revoked *reload.Files[revokedSet]

	mu      sync.Mutex // guards what follows
	open    map[*liveUse]struct{}
	checked *revokedSet // of which no ID is open
	ticking bool
}

type liveUse struct {
	grant Grant
	end   func()
}

// OnRevoked calls end once, from another goroutine, if the token of g is revoked
// before stop is called. That takes about a second after the list has changed.
func (v *Verifier) OnRevoked(g Grant, end func()) (stop func()) {
	if v == nil || !v.live.revoked.HasFiles() {
		return func() {}
	}
	u := &liveUse{g, end}
	l := &v.live
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[u] = struct{}{}
	l.checked = nil // the list may have changed since the token was verified
	if !l.ticking {
		l.ticking = true
		time.AfterFunc(0, l.check)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, u)
	}
}

// check ends what may not go on, and comes back while anything is open.
func (l *live) check() {
	now := time.Now()
	set := l.revoked.Get(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if set != l.checked {
		for u := range l.open {
			if u.grant.in(set) {
				delete(l.open, u)
				go u.end()
			}
		}
		l.checked = set
	}
	if l.ticking = len(l.open) > 0; l.ticking {
		time.AfterFunc(reload.Every, l.check)
	}
}

// Revoked reports whether the token of g is revoked.
func (v *Verifier) Revoked(g Grant) bool { return v != nil && g.in(v.revoked.Get(time.Now())) }

// in reports whether a list has the token of g, or the one that it was exchanged
// for.
func (g Grant) in(set *revokedSet) bool { return set.has(g.ID) || g.From != "" && set.has(g.From) }

// IDs returns the IDs by which the token of g can be revoked, for GrantOf.
func (g Grant) IDs() string {
	if g.From == "" {
		return g.ID
	}
	return g.ID + "\n" + g.From
}

// GrantOf returns a grant that allows nothing, and is revoked with the token that
// has these IDs.
func GrantOf(ids string) (g Grant) {
	g.ID, g.From, _ = strings.Cut(ids, "\n")
	return g
}
