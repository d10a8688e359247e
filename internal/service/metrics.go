package service

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a Service counts, over all dialects. No label identifies a
// log.
type metrics struct {
	prometheus.Collector                    // of all of them
	lines, bytes         prometheus.Counter // received
	sentLines, sentBytes prometheus.Counter
	readers              prometheus.Gauge
	archived, failed     prometheus.Counter
	abandoned            prometheus.Counter
	refused              *prometheus.CounterVec // by limit
	expired              prometheus.Counter
	waiting, failing     prometheus.Gauge // as of the last round of Run
}

func newMetrics() *metrics {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "log_service_limited_total", Help: "Requests answered 503 because the account was at a limit.",
	}, []string{"limit"})
	for _, l := range []string{limitStreams, limitTails, limitRate, limitStored} {
		refused.WithLabelValues(l)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "log_service_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "log_service_" + name, Help: help})
	}
	m := &metrics{
		lines:     counter("received_lines_total", "Lines acknowledged to their writers, recognized retries included."),
		bytes:     counter("received_bytes_total", "Bytes of JSON of those lines."),
		sentLines: counter("sent_lines_total", "Lines read by those who follow a log, live or archived."),
		sentBytes: counter("sent_bytes_total", "Bytes of JSON of those lines."),
		readers:   gauge("tails", "Readers that follow a log now."),
		refused:   refused,
		archived:  counter("archived_total", "Closed logs that were archived, or dropped as their close asked for."),
		failed:    counter("archive_failures_total", "Attempts to archive a closed log that failed; each is repeated."),
		abandoned: counter("abandoned_streams_total", "Streams closed because their writer went silent past their time to live."),
		expired:   counter("expired_total", "Stored logs deleted because they were older than the retention."),
		waiting:   gauge("archive_backlog", "Closed logs that are not archived yet, as of some seconds ago."),
		failing:   gauge("archive_failing", "Of these, those whose archiving failed and is tried again."),
	}
	all := prometheus.NewRegistry()
	all.MustRegister(m.lines, m.bytes, m.sentLines, m.sentBytes, m.readers, m.archived, m.failed, m.abandoned, m.refused, m.waiting, m.failing, m.expired)
	m.Collector = all
	return m
}
