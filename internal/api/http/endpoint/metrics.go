package endpoint

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	logservice "github.com/harness/log-service"
)

// metrics count requests. Labels come from the table of routes, never from a
// client: their number is fixed when the server starts.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	memory   prometheus.GaugeFunc
	noRoom   prometheus.CounterFunc
}

// ends are the values of the label status: the class of the response's status,
// and cut for an interrupted response.
var ends = [...]string{"2xx", "3xx", "4xx", "5xx", "cut"}

const endCut = len(ends) - 1

func newMetrics(b *bodies) *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "log_service_http_requests_total",
			Help: "Requests answered, by method, route and status class; cut means that the response was interrupted.",
		}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "log_service_http_request_seconds",
			Help: "Time from the request headers to the end of the response; for a tail over HTTP/1.1, to the response headers.",
			// 10 s is when clients give up.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5, 10},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "log_service_http_requests_in_flight",
			Help: "Requests being answered, without tails over HTTP/1.1.",
		}),
		memory: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "log_service_http_body_bytes",
			Help: "Memory used by the bodies of appends in flight.",
		}, func() float64 { held, _ := b.budget.Use(); return float64(held) }),
		noRoom: prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "log_service_http_bodies_refused_total",
			Help: "Appends answered 503 because the memory for bodies was used up.",
		}, func() float64 { _, refused := b.budget.Use(); return float64(refused) }),
	}
}

// register lets r collect m, unless r is nil.
func (m *metrics) register(r prometheus.Registerer) {
	if r != nil {
		r.MustRegister(m.requests, m.seconds, m.inFlight, m.memory, m.noRoom)
	}
}

// meter counts the requests of one route.
type meter struct {
	ends    [len(ends)]prometheus.Counter
	seconds prometheus.Observer
}

// meter looks up a route's counters once, so that requests need not.
func (m *metrics) meter(method, route string) *meter {
	x := &meter{seconds: m.seconds.WithLabelValues(method, route)}
	for i, end := range ends {
		x.ends[i] = m.requests.WithLabelValues(method, route, end)
	}
	return x
}

func (x *meter) done(c *Call, start time.Time) {
	end := endCut
	if !c.cut {
		end = max(c.status/100-2, 0) // 0 is an implicit 200
	}
	x.ends[end].Inc()
	x.seconds.Observe(time.Since(start).Seconds())
}

// Metrics answers with the server's metrics, to whoever has the global token.
func (a *API) Metrics(c *Call) error {
	// Volumes of traffic are confidential.
	if _, err := c.AllAccounts(""); err != nil {
		return err
	}
	if a.exposition == nil {
		return logservice.Errorf(logservice.ErrUnsupported, "this server has no metrics here")
	}
	a.exposition.ServeHTTP(c, c.Request)
	return nil
}
