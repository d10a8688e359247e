package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/harness/log-service/internal/api/http/public"
)

// admin is the listener for operators: metrics and profiles, without
// authentication. config.Validate ensures that its address is a loopback address.
type admin struct {
	listener net.Listener
	http     *http.Server
}

// openAdmin listens on bind. It returns nil if bind is empty.
func (s *Server) openAdmin(bind string) (*admin, error) {
	if bind == "" {
		return nil, nil
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", bind)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.exposition())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return &admin{listener: s.conns.on(l, tooMany), http: &http.Server{
		Handler:           localOnly(mux),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}}, nil
}

// localOnly rejects requests whose Host is not this machine, and those of web pages.
// Otherwise a page open in a local browser could reach the listener, also through DNS
// rebinding.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !public.LocalHost(r.Host) || (public.Config{}).Foreign(r) {
			http.Error(w, "this listener accepts only requests for localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve handles requests until close.
func (a *admin) serve() error {
	if a == nil {
		return nil
	}
	if err := a.http.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// lastScrape is how long a scrape or a profile may continue after everything else
// has stopped.
const lastScrape = 500 * time.Millisecond

func (a *admin) close() error {
	if a == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastScrape)
	defer cancel()
	err := a.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = a.http.Close()
	}
	if lerr := a.listener.Close(); !errors.Is(lerr, net.ErrClosed) {
		err = errors.Join(err, lerr) // it was never served
	}
	return err
}
