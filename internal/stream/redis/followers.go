package redis

import (
	"context"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

// reportRetry is the pause before a failed report is repeated.
const reportRetry = 2 * time.Second

// followers are the streams of a bucket that have cursors on this node.
type followers struct {
	*keyspace

	mu      sync.Mutex             // guards what follows, and follower.refs
	current map[string]*follower   // by name, of the youngest generation
	all     map[*follower]struct{} // that have cursors
	leaving []*follower            // whose last cursor is closed, but not reported yet
	version int64                  // changes with all

	changed chan struct{} // the version has
	counts  chan struct{} // numbers of cursors have
}

func newFollowers(k *keyspace) *followers {
	return &followers{
		keyspace: k, current: map[string]*follower{}, all: map[*follower]struct{}{},
		changed: make(chan struct{}, 1), counts: make(chan struct{}, 1),
	}
}

func (s *followers) newFollower(name string) *follower {
	f := &follower{handle: s.handle(name, ""), id: s.id() + "/" + token(), loading: make(chan struct{}, 1), refs: 1}
	f.fetches.Store(firstFetch)
	return f
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// snapshot returns the followers and their version.
func (s *followers) snapshot() (all []*follower, version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.all {
		all = append(all, f)
	}
	return all, s.version
}

// change is called with mu held when there are other followers.
func (s *followers) change() {
	s.version++
	poke(s.changed)
}

// follow returns the follower of a stream with one more cursor. It asks Redis
// each time: the stream that this node follows may have been deleted meanwhile.
func (s *followers) follow(ctx context.Context, name string) (*follower, error) {
	s.mu.Lock()
	f := s.current[name]
	if f != nil {
		f.refs++
	}
	s.mu.Unlock()
	if f == nil {
		f = s.newFollower(name)
	}
	for {
		a, err := s.tailOf(ctx, name, f.id, "", f.gen)
		if err == nil && a.int(0) != 1 {
			err = logservice.ErrStreamNotFound
		}
		if err != nil {
			s.leave(f)
			return nil, err
		}
		gen, next, closed := a.text(1), a.int(2), a.int(3) == 1
		if f.gen == "" {
			f.attempt, f.first = orFirst(a.int(4)), orFirst(a.int(5))
			f = s.adopt(f, gen, next)
		}
		if f.gen == gen {
			f.add(nil, next, closed)
			poke(s.counts)
			return f, nil
		}
		// What this node follows was deleted, and this is another stream.
		s.leave(f)
		f = s.newFollower(name)
	}
}

// tailOf asks Redis for the end of a stream, for a follower: up to there,
// replicas have it.
func (k *keyspace) tailOf(ctx context.Context, name, follower, known, gen string) (answer, error) {
	return k.redis.acked(ctx, func(ctx context.Context, on runner) (answer, error) {
		return k.redis.measured(ctx, k.redis.scripts.follow, on, k.root, []string{name, k.members.now(), follower, known, gen})
	})
}

// adopt makes f follow generation gen, or returns the follower that already
// does: two cursors may start at once.
func (s *followers) adopt(f *follower, gen string, next int64) *follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.gen = gen
	if other := s.current[f.name]; other != nil && other.gen == gen {
		other.refs++
		f.refs = 0
		s.leaving = append(s.leaving, f)
		return other
	}
	f.pos, f.end, f.reported = next, next, 1
	s.current[f.name] = f
	s.all[f] = struct{}{}
	s.change()
	return f
}

// leave removes a cursor from f, and drops f with the last one.
func (s *followers) leave(f *follower) {
	s.mu.Lock()
	f.refs--
	last := f.refs == 0
	if last {
		if s.current[f.name] == f {
			delete(s.current, f.name)
		}
		if _, ok := s.all[f]; ok {
			delete(s.all, f)
			s.change()
		}
		s.leaving = append(s.leaving, f)
	}
	s.mu.Unlock()
	poke(s.counts)
	if last {
		f.drop()
	}
}

// youngest returns this node's follower of a stream's youngest generation, or
// nil.
func (s *followers) youngest(name string) *follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current[name]
}

// find returns this node's follower of a generation, or nil.
func (s *followers) find(name, gen string) *follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.current[name]; f != nil && f.gen == gen {
		return f
	}
	return nil
}

// ended notifies those who follow a stream on this node that it ends before the
// sequence next. Other nodes read it.
func (s *followers) ended(name, gen string, next int64) {
	if f := s.find(name, gen); f != nil {
		f.add(nil, next, true)
	}
}

// cursors counts those of this node.
func (s *followers) cursors(name, gen string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.current[name]; f != nil && f.gen == gen {
		return f.refs
	}
	return 0
}

// report keeps Redis informed of how many cursors this node has, until ctx
// ends. Changes during a report are in the next one, so a thousand cursors that
// start together are reported in one or two calls.
func (s *followers) report(ctx context.Context) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.counts:
		case <-again:
		}
		again = nil
		if !s.reportAll(ctx) {
			again = time.After(reportRetry)
		}
	}
}

// reportAll reports the changes; false: not all of them reached Redis.
func (s *followers) reportAll(ctx context.Context) bool {
	s.mu.Lock()
	leaving := s.leaving
	s.leaving = nil
	var changed []*follower
	var refs []int
	for f := range s.all {
		if f.recount {
			f.recount, f.reported = false, -1
		}
		if f.reported != f.refs {
			changed, refs = append(changed, f), append(refs, f.refs)
		}
	}
	s.mu.Unlock()
	ok := true
	for i := 0; i < len(changed) && ok; i++ {
		if ok = changed[i].count(ctx, refs[i]); ok {
			changed[i].reported = refs[i]
		}
	}
	for len(leaving) > 0 && ok {
		if ok = leaving[0].count(ctx, 0); ok {
			leaving = leaving[1:]
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range leaving {
		if f.gen != "" { // others never followed, and Redis may not know them: they would pile up
			s.leaving = append(s.leaving, f)
		}
	}
	return ok
}

// reportAgain has the cursors of f reported again: Redis may have lost how many they are.
func (s *followers) reportAgain(f *follower) {
	s.mu.Lock()
	f.recount = true
	s.mu.Unlock()
	poke(s.counts)
}

// count reports the number of cursors to Redis; false: that failed.
func (f *follower) count(ctx context.Context, cursors int) bool {
	a, err := f.call(ctx, f.redis.scripts.subscribers, f.name, f.members.now(), f.id, f.gen, itoa(int64(cursors)))
	if err == nil && a.int(0) == 1 {
		f.reap()
	}
	return err == nil
}
