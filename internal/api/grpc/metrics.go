package grpcapi

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// metrics count calls. Methods are those of the service, codes those of gRPC:
// clients choose neither.
type metrics struct {
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "log_service_grpc_calls_total", Help: "Completed calls, by method and code.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "log_service_grpc_call_seconds",
			Help:    "Duration of calls; streams last as long as their peer wants.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5, 10},
		}, []string{"method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "log_service_grpc_calls_in_flight", Help: "Calls in progress, including streams.",
		}),
	}
	for method := range Needs() { // a rate begins at zero
		m.calls.WithLabelValues(label(method), codes.OK.String())
		m.seconds.WithLabelValues(label(method))
	}
	if r != nil {
		r.MustRegister(m.calls, m.seconds, m.inFlight)
	}
	return m
}

// label is the full name of a method as other exporters write it.
func label(method string) string { return strings.TrimPrefix(method, "/") }

func (m *metrics) began() { m.inFlight.Inc() }

func (m *metrics) ended(method string, code codes.Code, took time.Duration) {
	method = label(method)
	m.inFlight.Dec()
	m.calls.WithLabelValues(method, code.String()).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}
