package main

import (
	"math/bits"
	"slices"
	"time"
)

// histogram counts durations in buckets of three percent, so that a million
// samples cost 8 KiB and an increment each.
type histogram struct {
	counts [64 * subBuckets]int64
	n      int64
	most   time.Duration
}

const (
	subBits    = 5
	subBuckets = 1 << subBits
)

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.n++
	h.most = max(h.most, d)
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

// quantile returns the duration that the share q of the samples does not pass.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := int64(q * float64(h.n))
	for i, c := range h.counts {
		if rank -= c; rank < 0 {
			return min(highest(i), h.most)
		}
	}
	return h.most
}

// metrics are the figures of one measurement; their names end in the unit.
type metrics map[string]float64

func (m metrics) latency(prefix string, h *histogram) {
	m[prefix+"p50_ms"] = ms(h.quantile(0.50))
	m[prefix+"p99_ms"] = ms(h.quantile(0.99))
	m[prefix+"max_ms"] = ms(h.most)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median of v, which it sorts; 0 for none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// medians of each figure over the rounds.
func medians(rounds []metrics) metrics {
	all := map[string][]float64{}
	for _, m := range rounds {
		for name, v := range m {
			all[name] = append(all[name], v)
		}
	}
	out := metrics{}
	for name, v := range all {
		out[name] = median(v)
	}
	return out
}
