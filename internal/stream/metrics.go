package stream

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an Engine counts.
type metrics struct {
	prometheus.Collector // of all of them

	commits  prometheus.Histogram // seconds of a write and its sync
	changes  prometheus.Counter   // in those groups
	bytes    prometheus.Counter
	failures prometheus.Counter
	damaged  prometheus.Counter
}

func newMetrics(e *Engine) metrics {
	m := metrics{
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "log_service_wal_commit_seconds",
			Help:    "Time to write and sync a group of changes in the write-ahead log.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
		}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "log_service_wal_changes_total",
			Help: "Appends, opens, closes and deletions in these groups; divided by the number of commits, how many share a sync.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "log_service_wal_bytes_total",
			Help: "Bytes written to the write-ahead log.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "log_service_wal_failures_total",
			Help: "Groups that could not be written or synced; their clients were answered 503.",
		}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "log_service_wal_damaged_reads_total",
			Help: "Reads that met a damaged or unreadable record of the write-ahead log; readers get a gap for its lines.",
		}),
	}
	all := prometheus.NewRegistry()
	m.Collector = all
	all.MustRegister(m.commits, m.changes, m.bytes, m.failures, m.damaged)
	gauge := func(name, help string, value func() float64) {
		all.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "log_service_" + name, Help: help}, value))
	}
	gauge("streams", "Live streams, those being archived included.", func() float64 {
		e.mu.RLock()
		defer e.mu.RUnlock()
		return float64(len(e.streams))
	})
	gauge("stream_memory_bytes", "Lines of live streams in memory.", func() float64 { return float64(e.memory.Used() + e.blocks.Used()) })
	gauge("wal_segments", "Files of the write-ahead log.", func() float64 { n, _, _ := e.segments(); return float64(n) })
	gauge("wal_disk_bytes", "Bytes used in its finished files.", func() float64 { _, size, _ := e.segments(); return float64(size) })
	gauge("wal_damaged_segments", "Those that hold a record which cannot be read; they are kept.", func() float64 { _, _, damaged := e.segments(); return float64(damaged) })
	return m
}

// segments describes the files of the log.
func (e *Engine) segments() (files int, size int64, damaged int) {
	w := e.wal
	if w == nil {
		return 0, 0, 0
	}
	w.segMu.Lock()
	defer w.segMu.Unlock()
	for _, s := range w.segments {
		if s.sealed { // used belongs to the committer in the others
			size += s.used
		}
		if s.damaged {
			damaged++
		}
	}
	return len(w.segments), size, damaged
}

// committed counts a durable group.
func (m *metrics) committed(changes, size int, took time.Duration) {
	m.commits.Observe(took.Seconds())
	m.changes.Add(float64(changes))
	m.bytes.Add(float64(size))
}

// Describe implements prometheus.Collector.
func (e *Engine) Describe(ch chan<- *prometheus.Desc) { e.metrics.Describe(ch) }

// Collect implements prometheus.Collector.
func (e *Engine) Collect(ch chan<- prometheus.Metric) { e.metrics.Collect(ch) }
