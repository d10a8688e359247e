package grpcapi

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

func TestCallsAreCountedByMethodAndCode(t *testing.T) {
	r := prometheus.NewRegistry()
	m := newMetrics(r)
	m.began()
	m.began()
	m.ended(logservicev1.LogStream_Open_FullMethodName, codes.Unavailable, time.Second)
	got := map[string]float64{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			name := f.GetName()
			for _, l := range s.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = s.GetCounter().GetValue() + s.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"log_service_grpc_calls_in_flight":                                      1,
		"log_service_grpc_calls_total Unavailable logservice.v1.LogStream/Open": 1,
		"log_service_grpc_calls_total OK logservice.v1.LogStream/Open":          0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, %v; want %v", name, v, ok, want)
		}
	}
}
