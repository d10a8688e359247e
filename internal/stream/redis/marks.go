package redis

import "sync"

// maxMarks bounds the streams of a bucket whose last sequence is remembered:
// those written to lately, with room to spare.
const maxMarks = 4096

// mark is how far a stream got for certain.
type mark struct {
	gen  string
	next int64
}

// marks remembers how far this node saw streams get. A Redis that knows less,
// after a fail-over, has lost lines; see prelude.lua.
type marks struct {
	mu sync.Mutex // guards m
	m  map[string]mark
}

func (k *marks) get(name string) mark {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.m[name]
}

func (k *marks) set(name, gen string, next int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, known := k.m[name]
	if known && old.gen == gen && old.next >= next {
		return
	}
	if !known && len(k.m) >= maxMarks {
		for other := range k.m { // any: a mark matters for a moment only
			delete(k.m, other)
			break
		}
	}
	k.m[name] = mark{gen, next}
}

func (k *marks) forget(name string) {
	k.mu.Lock()
	delete(k.m, name)
	k.mu.Unlock()
}
