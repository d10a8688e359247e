package report

import (
	"slices"
	"time"

	"github.com/harness/log-service/bench/load"
)

// Metrics are the figures of one measurement; their names end in the unit.
type Metrics map[string]float64

// Latency adds median, 99th percentile and maximum of h.
func (m Metrics) Latency(prefix string, h *load.Histogram) {
	m[prefix+"p50_ms"] = Milliseconds(h.Quantile(0.50))
	m[prefix+"p99_ms"] = Milliseconds(h.Quantile(0.99))
	m[prefix+"max_ms"] = Milliseconds(h.Most)
}

// Milliseconds converts d.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

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
func medians(rounds []Metrics) Metrics {
	all := map[string][]float64{}
	for _, m := range rounds {
		for name, v := range m {
			all[name] = append(all[name], v)
		}
	}
	out := Metrics{}
	for name, v := range all {
		out[name] = median(v)
	}
	return out
}

// PerCore is how many lines per second one core of the server handles.
func (m Metrics) PerCore() {
	if cost := m["cpu_s_per_m_lines"]; cost > 0 {
		m["lines_per_core_s"] = 1e6 / cost
	}
}
