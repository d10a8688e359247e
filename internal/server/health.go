package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// healthEvery is how often the server checks whether it accepts work, for the log,
// metrics and gRPC health watches.
const healthEvery = 2 * time.Second

// watchHealth logs, and reports to gRPC, when the server stops or resumes accepting
// work. Explicit health requests check again instead.
func (s *Server) watchHealth(ctx context.Context) {
	ready := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "log_service_ready",
		Help: "Whether the server is ready (1) or not (0); updated every few seconds.",
	})
	s.registry.MustRegister(ready)
	ready.Set(1)
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	reason := ""
	for {
		now := ""
		if err := s.service.Check(ctx); err != nil {
			now = err.Error()
		}
		if ctx.Err() != nil {
			return
		}
		switch {
		case now != "" && reason == "":
			s.log.Error("not ready: the server cannot accept work", slog.String("reason", now))
			ready.Set(0)
			s.grpc.setServing(false)
		case now == "" && reason != "":
			s.log.Info("ready again")
			ready.Set(1)
			s.grpc.setServing(true)
		}
		reason = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
