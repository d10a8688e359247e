package redis

import (
	"context"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

// bucket is a sixteenth of the streams: those whose keys share a hash tag.
// This node reads those of them that it has cursors of with one connection.
type bucket struct {
	e     *Engine
	index int
	root  string // of the keys
	tails tails
	moves moves
	beats beats

	verified time.Time // when the keys of followers were looked for; of the reader

	mu        sync.Mutex             // guards what follows, and follower.refs
	current   map[string]*follower   // by name, of the youngest generation
	followers map[*follower]struct{} // all that have cursors
	leaving   []*follower            // whose last cursor is closed, to be told
	changed   bool                   // the followers are others than those being read
	reading   func()                 // ends the read that waits in Redis; nil: none does
	woken     int64                  // wake-ups sent

	work   chan struct{} // the reader has work
	wakes  chan struct{} // the waker has
	counts chan struct{} // the teller has
}

func newBucket(e *Engine, index int, root string) *bucket {
	return &bucket{
		e: e, index: index, root: root, tails: tails{m: map[string]*tail{}}, moves: moves{m: map[string]bool{}},
		current: map[string]*follower{}, followers: map[*follower]struct{}{},
		work: make(chan struct{}, 1), wakes: make(chan struct{}, 1), counts: make(chan struct{}, 1),
	}
}

func (b *bucket) newFollower(name string) *follower {
	f := &follower{b: b, name: name, id: b.e.node + "/" + token(), loading: make(chan struct{}, 1), refs: 1}
	f.fetches.Store(firstFetch)
	return f
}

// key names what is kept of a generation of a stream.
func (b *bucket) key(kind, gen, name string) string { return b.root + kind + ":" + gen + ":" + name }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// follow returns the follower of a stream with one more cursor. Redis is asked
// each time: what this node follows may have been deleted meanwhile.
func (b *bucket) follow(ctx context.Context, name string) (*follower, error) {
	b.mu.Lock()
	f := b.current[name]
	if f != nil {
		f.refs++
	}
	b.mu.Unlock()
	if f == nil {
		f = b.newFollower(name)
	}
	for {
		a, err := b.e.follow(ctx, b.root, name, b.e.now(), f.id, "", f.gen)
		if err == nil && a.int(0) != 1 {
			err = logservice.ErrStreamNotFound
		}
		if err != nil {
			b.leave(f)
			return nil, err
		}
		gen, next, closed := a.text(1), a.int(2), a.int(3) == 1
		if f.gen == "" {
			f = b.adopt(f, gen, next)
		}
		if f.gen == gen {
			f.add(nil, next, closed)
			poke(b.counts)
			return f, nil
		}
		// What this node follows was deleted, and this is another stream.
		b.leave(f)
		f = b.newFollower(name)
	}
}

// follow tells where a stream stands; as far as that, replicas have it.
func (e *Engine) follow(ctx context.Context, root string, args ...string) (answer, error) {
	return e.acked(ctx, func(ctx context.Context, on runner) (answer, error) {
		return e.measured(ctx, e.scripts.follow, on, root, args)
	})
}

// adopt lets f follow generation gen, or returns the one that does already:
// two cursors came at once.
func (b *bucket) adopt(f *follower, gen string, next int64) *follower {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.gen = gen
	if other := b.current[f.name]; other != nil && other.gen == gen {
		other.refs++
		f.refs = 0
		b.leaving = append(b.leaving, f)
		return other
	}
	f.pos, f.end, f.told = next, next, 1
	b.current[f.name] = f
	b.followers[f] = struct{}{}
	b.change()
	return f
}

// leave takes a cursor off f, and lets f go with its last one.
func (b *bucket) leave(f *follower) {
	b.mu.Lock()
	f.refs--
	last := f.refs == 0
	if last {
		if b.current[f.name] == f {
			delete(b.current, f.name)
		}
		if _, ok := b.followers[f]; ok {
			delete(b.followers, f)
			b.change()
		}
		b.leaving = append(b.leaving, f)
	}
	b.mu.Unlock()
	poke(b.counts)
	if last {
		f.drop()
	}
}

// follower finds what this node follows of a generation, or nil.
func (b *bucket) follower(name, gen string) *follower {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.current[name]; f != nil && f.gen == gen {
		return f
	}
	return nil
}

// seen is how far this node saw the stream get, and of which generation.
func (b *bucket) seen(name string) (gen string, next int64) {
	gen, next = b.tails.seen(name)
	b.mu.Lock()
	f := b.current[name]
	b.mu.Unlock()
	switch {
	case f == nil || f.known() <= next && f.gen == gen:
		return gen, next
	case f.gen == gen || gen == "":
		return f.gen, f.known()
	}
	return "", 0 // one of them is outdated
}

// ended tells those who follow a stream on this node that it ends before the
// sequence next. The others read it.
func (b *bucket) ended(name, gen string, next int64) {
	if f := b.follower(name, gen); f != nil {
		f.add(nil, next, true)
	}
}

// cursors counts those of this node.
func (b *bucket) cursors(name, gen string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.current[name]; f != nil && f.gen == gen {
		return f.refs
	}
	return 0
}

// tell keeps Redis informed of how many cursors this node has, until the
// engine stops. What changes while it is at it is told at once, so a thousand
// cursors that come together are told with a call or two.
func (b *bucket) tell() {
	var again <-chan time.Time
	for {
		select {
		case <-b.e.running.Done():
			return
		case <-b.counts:
		case <-again:
		}
		again = nil
		if !b.tellAll() {
			again = time.After(lastReread)
		}
	}
}

// tellAll tells what has changed; false: Redis could not be told all of it.
func (b *bucket) tellAll() bool {
	b.mu.Lock()
	leaving := b.leaving
	b.leaving = nil
	var changed []*follower
	var refs []int
	for f := range b.followers {
		if f.recount {
			f.recount, f.told = false, -1
		}
		if f.told != f.refs {
			changed, refs = append(changed, f), append(refs, f.refs)
		}
	}
	b.mu.Unlock()
	ok := true
	for i := 0; i < len(changed) && ok; i++ {
		if ok = b.count(changed[i], refs[i]); ok {
			changed[i].told = refs[i]
		}
	}
	for len(leaving) > 0 && ok {
		if ok = b.count(leaving[0], 0); ok {
			leaving = leaving[1:]
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range leaving {
		if f.gen != "" { // of the others, which never followed, Redis may know none: they would pile up
			b.leaving = append(b.leaving, f)
		}
	}
	return ok
}

// recount has the cursors of f told again: Redis may have lost how many they are.
func (b *bucket) recount(f *follower) {
	b.mu.Lock()
	f.recount = true
	b.mu.Unlock()
	poke(b.counts)
}

// count tells Redis the cursors of one follower.
func (b *bucket) count(f *follower, cursors int) bool {
	a, err := b.e.call(b.e.running, b.e.scripts.subscribers, b.root, f.name, b.e.now(), f.id, f.gen, itoa(int64(cursors)))
	if err != nil {
		return false
	}
	if a.int(0) == 1 {
		b.e.bury(b, f.name, f.gen)
	}
	return true
}
