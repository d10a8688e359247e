package batches

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAStreamRemembersALimitedNumberOfAppends(t *testing.T) {
	m := NewMemory(1<<30, func() time.Duration { return 0 })
	b, r := NewRecentBudget(m, 1<<30), &Recent{}
	for i := range int64(MaxRecent + 100) {
		b.Remember(r, 0, Append{First: i + 1, Sum: uint64(i)})
	}
	if n := b.Count(); n != MaxRecent || m.Used() != n*recentBytes {
		t.Errorf("%d appends of one stream are remembered, %d bytes charged", n, m.Used())
	}
	if _, ok := r.Find(&Append{Sum: 99}); ok {
		t.Error("the oldest is known after it was forgotten")
	}
	if a, ok := r.Find(&Append{Sum: 100}); !ok || a.First != 101 {
		t.Errorf("the oldest that must be known is found as %+v, %v", a, ok)
	}
	b.Drop(r)
	if b.Count() != 0 || m.Used() != 0 {
		t.Errorf("nothing is remembered, but %d are counted, %d bytes charged", b.Count(), m.Used())
	}
}

// Whatever is remembered, expired and undone, the list finds what a plain search
// finds.
func TestRecentAppendsAreFoundWhateverTheirNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMemory(1<<30, func() time.Duration { return 0 })
		b, r := NewRecentBudget(m, 1<<30), &Recent{}
		var now time.Duration
		for next := int64(1); next < 120; {
			now += time.Duration(rapid.IntRange(0, 5).Draw(t, "seconds")) * time.Second
			if rapid.IntRange(0, 9).Draw(t, "undo") == 0 {
				next = max(1, next-rapid.Int64Range(0, 3).Draw(t, "by"))
				b.Undo(r, next)
			}
			b.Remember(r, now, Append{First: next, Sum: uint64(next), Count: 1, At: now})
			next++
			for i := range next {
				a, ok := r.Find(&Append{Sum: uint64(i), Count: 1})
				if ok != (len(r.Between(i, i+1)) == 1) || ok && a.First != i {
					t.Fatalf("append %d of %d is found as %+v, %v", i, next-1, a, ok)
				}
			}
			if int(b.Count()) != len(r.Between(0, next)) || m.Used() != b.Count()*recentBytes {
				t.Fatalf("%d appends are counted, %d bytes charged", b.Count(), m.Used())
			}
		}
		b.Expire(r, now+RecentTime)
		if left := r.Between(0, 1000); len(left) > 0 && left[0].At < now {
			t.Errorf("%+v is remembered when its time is over", left[0])
		}
	})
}

func TestAppendsAreDecodedAsTheyWereEncoded(t *testing.T) {
	var all []Append
	for i := range int64(20) {
		all = append(all, Append{First: i << 40, Sum: uint64(i) << 56, Count: uint32(i + 1), Size: uint32(i)})
	}
	data := EncodeAppends(nil, all)
	for cut := range data {
		got := DecodeAppends(data[:cut])
		for i, a := range got {
			if a != all[i] {
				t.Fatalf("%d of %d bytes: append %d is read as %+v, want %+v", cut, len(data), i, a, all[i])
			}
		}
	}
	if n := len(DecodeAppends(data)); n != len(all) {
		t.Errorf("%d of %d appends are read", n, len(all))
	}
}
