package grpcapi

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

const (
	// watchShare limits the watches of one account to this multiple of the free
	// ones: a single account gets 4/5 of all, and some always remain for another.
	watchShare = 4
	// listPart limits listing to a twentieth of one processor: after a list that
	// took 10 ms, the next one of any account waits for 190 ms.
	listPart = 20
	// endedFor is how long a snapshot names streams that have ended: longer than
	// any interval.
	endedFor = 2*maxInterval + time.Minute
)

// lists is what all watches share: one list for all watches of an account, and
// one pace for all lists.
type lists struct {
	list  func(context.Context, logs.Filter) ([]logs.Info, service.Backlog, error)
	fresh time.Duration // how old a list may be that another watch reuses
	stop  <-chan struct{}

	mu       sync.Mutex // guards what follows
	accounts map[string]*accountList
	watches  int

	pace chan struct{} // holds one while nobody lists; guards next
	next time.Time     // when the next list may begin
}

func newLists(s *Server) *lists {
	return &lists{list: s.list, fresh: s.interval / 2, stop: s.stop, accounts: map[string]*accountList{}, pace: mutex()}
}

// mutex is a lock for which somebody can stop waiting.
func mutex() chan struct{} {
	m := make(chan struct{}, 1)
	m <- struct{}{}
	return m
}

// accountList is what the watches of one account share.
type accountList struct {
	all     *lists
	account string
	watches int // guarded by lists.mu

	mu   chan struct{} // holds one while nobody lists; guards last
	last *snapshot
}

// snapshot is the open streams of an account at one time. It is immutable.
type snapshot struct {
	version int64 // 1, 2, …
	taken   time.Time
	streams []entry // ordered by key
	ended   []entry // by version; those of the last minutes
	forgot  int64   // ended is incomplete up to this version
}

// entry is a stream, and the version that changed or ended it last.
type entry struct {
	logs.Info
	version int64
	at      time.Time // of an end
}

// enter counts a watch of account, if the account may have another one.
func (a *lists) enter(account string) (*accountList, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.accounts[account]
	if l == nil {
		l = &accountList{all: a, account: account, mu: mutex()}
	}
	if free := maxWatches - a.watches; free <= 0 || l.watches+1 > watchShare*(free-1) {
		return nil, false
	}
	a.accounts[account] = l
	a.watches++
	l.watches++
	return l, true
}

func (a *lists) leave(l *accountList) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watches--
	if l.watches--; l.watches == 0 {
		delete(a.accounts, l.account)
	}
}

// now returns a recent snapshot. It takes a new one if no other watch has.
func (l *accountList) now(ctx context.Context) (*snapshot, error) {
	if err := l.all.wait(ctx, l.mu); err != nil {
		return nil, err
	}
	defer func() { l.mu <- struct{}{} }()
	if l.last != nil && time.Since(l.last.taken) < l.all.fresh {
		return l.last, nil
	}
	infos, err := l.all.take(ctx, l.account)
	if err != nil {
		return nil, err
	}
	l.last = l.last.follow(infos, time.Now())
	return l.last, nil
}

// take lists the streams of an account, ordered by key, within the pace.
func (a *lists) take(ctx context.Context, account string) ([]logs.Info, error) {
	if err := a.wait(ctx, a.pace); err != nil {
		return nil, err
	}
	defer func() { a.pace <- struct{}{} }()
	if wait := time.Until(a.next); wait > 0 {
		turn := make(chan struct{}, 1)
		t := time.AfterFunc(wait, func() { turn <- struct{}{} })
		defer t.Stop()
		if err := a.wait(ctx, turn); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	infos, _, err := a.list(ctx, logs.Filter{Account: account})
	a.next = time.Now().Add((listPart - 1) * time.Since(began))
	return infos, err
}

// wait receives from turn, unless the call or the server ends.
func (a *lists) wait(ctx context.Context, turn <-chan struct{}) error {
	select {
	case <-turn:
		return nil
	case <-a.stop:
		return stopping()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow returns the snapshot of infos after s, which may be nil.
func (s *snapshot) follow(infos []logs.Info, now time.Time) *snapshot {
	if s == nil {
		s = &snapshot{}
	}
	next := &snapshot{version: s.version + 1, taken: now, streams: make([]entry, len(infos)), forgot: s.forgot}
	from := 0
	for from < len(s.ended) && now.Sub(s.ended[from].at) > endedFor {
		next.forgot = s.ended[from].version
		from++
	}
	next.ended = s.ended[from:len(s.ended):len(s.ended)]
	old := s.streams
	for i, info := range infos {
		for len(old) > 0 && old[0].ID.Key < info.ID.Key {
			next.ended = append(next.ended, entry{Info: logs.Info{ID: old[0].ID}, version: next.version, at: now})
			old = old[1:]
		}
		e := entry{Info: info, version: next.version}
		if len(old) > 0 && old[0].ID.Key == info.ID.Key {
			if !changed(&old[0].Info, &info) {
				e.version = old[0].version
			}
			old = old[1:]
		}
		next.streams[i] = e
	}
	for _, o := range old {
		next.ended = append(next.ended, entry{Info: logs.Info{ID: o.ID}, version: next.version, at: now})
	}
	return next
}

// changed reports whether watches report the difference.
func changed(a, b *logs.Info) bool {
	return a.Attempt != b.Attempt || a.Lines != b.Lines || a.Bytes != b.Bytes || a.Subscribers != b.Subscribers
}

// since returns what is at and below prefix and changed or ended after version.
func (s *snapshot) since(version int64, prefix logservice.Key) (changed []logs.Info, ended []string, err error) {
	if version > 0 && version < s.forgot {
		return nil, nil, &logservice.UnavailableError{Cause: errors.New("the watch has fallen behind: watch again"), RetryAfter: time.Second}
	}
	from, _ := s.find(prefix)
	for _, e := range s.streams[from:] {
		if prefix != "" && (len(e.ID.Key) < len(prefix) || e.ID.Key[:len(prefix)] != prefix) {
			break
		}
		if e.version > version && e.ID.Key.Under(prefix) {
			changed = append(changed, e.Info)
		}
	}
	if version == 0 {
		return changed, nil, nil
	}
	first := sort.Search(len(s.ended), func(i int) bool { return s.ended[i].version > version })
	for _, e := range s.ended[first:] {
		if e.ID.Key.Under(prefix) && !s.has(e.ID.Key) {
			ended = append(ended, string(e.ID.Key))
		}
	}
	slices.Sort(ended)
	return changed, slices.Compact(ended), nil
}

// has reports whether a stream is open (again).
func (s *snapshot) has(key logservice.Key) bool {
	_, ok := s.find(key)
	return ok
}

func (s *snapshot) find(key logservice.Key) (at int, ok bool) {
	return slices.BinarySearchFunc(s.streams, key, func(e entry, k logservice.Key) int { return cmp.Compare(e.ID.Key, k) })
}
