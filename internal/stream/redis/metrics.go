package redis

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/harness/log-service/internal/stream/batches"
)

// metrics are what an Engine counts about itself and its Redis.
type metrics struct {
	prometheus.Collector // of all of them

	seconds  prometheus.Histogram
	failures prometheus.Counter
}

func newMetrics(memory *batches.Memory) *metrics {
	m := &metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "log_service_redis_call_seconds",
			Help:    "Duration of Redis calls that change or read a stream.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "log_service_redis_failures_total",
			Help: "Redis calls that failed or timed out.",
		}),
	}
	all := prometheus.NewRegistry()
	all.MustRegister(m.seconds, m.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "log_service_stream_memory_bytes",
		Help: "Lines of live streams in memory.",
	}, func() float64 { return float64(memory.Used()) }))
	m.Collector = all
	return m
}
