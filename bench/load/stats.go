package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets of three percent, so that a million
// samples cost 8 KiB and an increment each.
type Histogram struct {
	counts [64 * subBuckets]int64
	n      int64
	Most   time.Duration
}

const (
	subBits    = 5
	subBuckets = 1 << subBits
)

// Add counts d.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.n++
	h.Most = max(h.Most, d)
}

func bucket(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift*subBuckets + int(v>>shift)
}

// highest is the largest duration that falls into bucket i.
func highest(i int) time.Duration {
	if i < 2*subBuckets {
		return time.Duration(i)
	}
	shift := i/subBuckets - 1
	return time.Duration((uint64(i%subBuckets+subBuckets)+1)<<shift - 1)
}

// Quantile returns the duration that the share q of the samples does not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := int64(q * float64(h.n))
	for i, c := range h.counts {
		if rank -= c; rank < 0 {
			return min(highest(i), h.Most)
		}
	}
	return h.Most
}

// Join adds the samples of other.
func (h *Histogram) Join(other *Histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.Most = max(h.Most, other.Most)
}
