package batches

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

const (
	// RecentTime is how long an append is recognized by its bytes: clients
	// retry for 2 minutes, and the last attempt may take a while to arrive.
	RecentTime = 150 * time.Second
	// MaxRecent limits the appends remembered per stream: 400 per second.
	MaxRecent = 1 << 16
	// recentShare: 1/recentShare of the memory budget may be used for the
	// remembered appends of all streams.
	recentShare = 4
	// minRecent is how many a stream may always remember: beyond the budget,
	// one with more of them forgets its oldest for each new one.
	minRecent = 16
	// recentBytes is about what a remembered append takes in memory, including
	// its map entry.
	recentBytes = 64
	// scanRecent is how many appends are searched linearly, without a map.
	scanRecent = 32
)

// Append identifies an append, for the recognition of its retry.
type Append struct {
	First int64
	Sum   uint64 // of its bytes; each engine has its own
	Count uint32
	Size  uint32        // in bytes; zero if the engine does not record it
	At    time.Duration // when it was made, on the engine's clock
}

// same reports whether both have the same checksum and lengths.
func (a *Append) same(x *Append) bool {
	return a.Sum == x.Sum && a.Count == x.Count && a.Size == x.Size
}

// Recent are the recent appends of a stream. The zero value is empty and one
// word: most streams have none. It changes only through a RecentBudget.
type Recent struct{ *recents }

type recents struct {
	list  []Append         // by First
	bySum map[uint64]int64 // First of the newest with that sum; nil while the list is short
}

func (r *Recent) len() int {
	if r.recents == nil {
		return 0
	}
	return len(r.list)
}

// Find returns the newest append that has the checksum and the lengths of a.
func (r *Recent) Find(a *Append) (Append, bool) {
	if r.recents == nil {
		return Append{}, false
	}
	if r.bySum != nil {
		first, ok := r.bySum[a.Sum]
		if !ok {
			return Append{}, false
		}
		x := r.list[r.search(first)]
		return x, x.same(a)
	}
	for i := len(r.list) - 1; i >= 0; i-- {
		if r.list[i].same(a) {
			return r.list[i], true
		}
	}
	return Append{}, false
}

// Between returns the appends whose first sequence is at least first and below
// next. They are valid until the next change.
func (r *Recent) Between(first, next int64) []Append {
	if r.recents == nil {
		return nil
	}
	return r.list[r.search(first):r.search(next)]
}

// search returns the index of the append that starts at first, or where it
// would be inserted.
func (r *Recent) search(first int64) int {
	return sort.Search(r.len(), func(i int) bool { return r.list[i].First >= first })
}

// insert adds appends, in order, and returns how many are new.
func (r *Recent) insert(list ...Append) (added int) {
	if r.recents == nil {
		r.recents = &recents{}
	}
	n := len(r.list)
	r.list = append(r.list, list...)
	if n > 0 && r.list[n-1].First >= r.list[n].First { // older ones, in a replay
		slices.SortStableFunc(r.list, func(a, b Append) int { return cmp.Compare(a.First, b.First) })
		r.list = slices.CompactFunc(r.list, func(a, b Append) bool { return a.First == b.First })
		r.bySum, list = nil, r.list
	}
	if r.bySum == nil && len(r.list) > scanRecent {
		r.bySum, list = make(map[uint64]int64, len(r.list)), r.list
	}
	if r.bySum != nil {
		for _, a := range list {
			r.bySum[a.Sum] = a.First
		}
	}
	return len(r.list) - n
}

// cut removes the appends with indices from ≤ i < to, which are the oldest or
// the newest of the list.
func (r *Recent) cut(from, to int) {
	if r.bySum != nil {
		for _, a := range r.list[from:to] {
			if r.bySum[a.Sum] == a.First {
				delete(r.bySum, a.Sum)
			}
		}
	}
	if from == 0 {
		r.list = r.list[to:]
	} else {
		r.list = r.list[:from]
	}
	if len(r.list) == 0 {
		r.recents = nil
	}
}

// RecentBudget limits the appends that all streams remember, and charges their
// memory. The caller holds the lock of the stream whose appends it changes.
type RecentBudget struct {
	memory *Memory
	limit  int64
	count  atomic.Int64
}

// NewRecentBudget returns a budget that is a share of the memory of an engine, in
// bytes. What it holds is charged to m.
func NewRecentBudget(m *Memory, memory int64) *RecentBudget {
	return &RecentBudget{memory: m, limit: memory / recentShare / recentBytes}
}

// Count is how many appends are remembered.
func (b *RecentBudget) Count() int64 { return b.count.Load() }

// Remember adds appends, in order, to those of a stream, and forgets the old
// ones.
func (b *RecentBudget) Remember(r *Recent, now time.Duration, list ...Append) {
	if len(list) == 0 {
		return
	}
	added := int64(r.insert(list...))
	b.memory.Charge(added * recentBytes)
	over := b.count.Add(added) > b.limit
	n := r.len()
	drop := max(0, n-MaxRecent)
	if over {
		drop = max(drop, min(int(added), n-minRecent))
	}
	b.forget(r, 0, drop)
	b.Expire(r, now)
}

// Expire forgets the appends older than RecentTime.
func (b *RecentBudget) Expire(r *Recent, now time.Duration) {
	n := 0
	for n < r.len() && r.list[n].At < now-RecentTime {
		n++
	}
	b.forget(r, 0, n)
}

// Undo forgets the appends from sequence first on.
func (b *RecentBudget) Undo(r *Recent, first int64) { b.forget(r, r.search(first), r.len()) }

// Drop forgets all appends of a stream.
func (b *RecentBudget) Drop(r *Recent) { b.forget(r, 0, r.len()) }

// forget is cut with its accounting.
func (b *RecentBudget) forget(r *Recent, from, to int) {
	if n := int64(to - from); n > 0 {
		r.cut(from, to)
		b.count.Add(-n)
		b.memory.Charge(-n * recentBytes)
	}
}

// EncodeAppends appends to dst the encoded appends of list: for each the distance
// of its first sequence from the previous one, its lines and its bytes as varints,
// and its checksum. The time is not included.
func EncodeAppends(dst []byte, list []Append) []byte {
	before := int64(0)
	for _, a := range list {
		dst = binary.AppendUvarint(dst, uint64(a.First-before))
		dst = binary.AppendUvarint(dst, uint64(a.Count))
		dst = binary.AppendUvarint(dst, uint64(a.Size))
		dst = binary.LittleEndian.AppendUint64(dst, a.Sum)
		before = a.First
	}
	return dst
}

// DecodeAppends decodes the output of EncodeAppends, as far as it is intact.
func DecodeAppends(data []byte) (list []Append) {
	before := int64(0)
	for len(data) > 0 {
		var v [3]uint64
		for i := range v {
			x, n := binary.Uvarint(data)
			if n <= 0 {
				return list
			}
			v[i], data = x, data[n:]
		}
		if len(data) < 8 {
			return list
		}
		before += int64(v[0])
		list = append(list, Append{
			First: before, Count: uint32(v[1]), Size: uint32(v[2]), Sum: binary.LittleEndian.Uint64(data),
		})
		data = data[8:]
	}
	return list
}
