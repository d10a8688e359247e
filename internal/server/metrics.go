package server

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds the scrapes at a time, each of which asks all parts.
const maxScrapes = 4

// newRegistry returns what collects the metrics of one server, with those of
// Go and the process in it.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	return r
}

// measure registers the parts that have metrics: those are a
// prometheus.Collector.
func (s *Server) measure(parts ...any) {
	for _, p := range parts {
		if c, ok := p.(prometheus.Collector); ok {
			s.registry.MustRegister(c)
		}
	}
}

// exposition answers scrapes.
func (s *Server) exposition() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
}
