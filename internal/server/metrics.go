package server

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes limits concurrent scrapes, each of which queries all parts.
const maxScrapes = 4

// newRegistry returns the registry for the metrics of one server, including those
// of Go and of the process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	return r
}

// measure registers those parts that have metrics, i.e. that are a
// prometheus.Collector.
func (s *Server) measure(parts ...any) {
	for _, p := range parts {
		if c, ok := p.(prometheus.Collector); ok {
			s.registry.MustRegister(c)
		}
	}
}

// exposition handles scrapes.
func (s *Server) exposition() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
}
