package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// requestsTimeout is how long requests in flight may go on once a stop began,
// config.Config.StopDelay included.
// With it the background work has its 10 s (see logs.Service.Run) and the
// engine some left to flush, all within config.StopTimeout.
const requestsTimeout = 12 * time.Second

// Serve answers requests until ctx ends or the listener fails, then stops in
// order: tails end so that their clients connect elsewhere, requests in
// flight finish, the background work ends, everything is flushed and let go.
// The stop takes at most config.StopTimeout. Serve returns nil after a stop
// that lost nothing; call it once.
func (s *Server) Serve(ctx context.Context) error {
	background, end := context.WithCancel(context.Background())
	defer end()
	var work errgroup.Group
	work.Go(func() error { return s.service.Run(background) })
	work.Go(func() error { s.auth.Prepare(background); return nil })
	work.Go(func() error { reclaim(background); return nil })

	adminEnded := make(chan error, 1)
	go func() { adminEnded <- s.admin.serve() }()

	failed := make(chan error, 1)
	go func() { failed <- s.serve() }()
	// A nil error, of a service that is off, says nothing.
	grpcFailed := make(chan error, 1)
	grpcEnded := make(chan struct{})
	go func() {
		defer close(grpcEnded)
		if err := s.grpc.serve(); err != nil {
			grpcFailed <- err
		}
	}()

	var err error
	select {
	case err = <-failed:
		close(s.stopping)
	case err = <-grpcFailed:
		err = errors.Join(wrap("gRPC listener", err), s.drain(failed))
	case <-ctx.Done():
		s.log.Info("stopping", slog.Any("cause", context.Cause(ctx)))
		s.announce()
		err = s.drain(failed)
	}
	end()
	err = errors.Join(err, work.Wait(), s.Close(), wrap("admin listener", <-adminEnded))
	<-grpcEnded
	return err
}

func (s *Server) serve() error {
	if s.tls != nil {
		return s.http.ServeTLS(s.listener, "", "") // its config has the certificates
	}
	return s.http.Serve(s.listener)
}

// announce turns readiness off, and goes on as before for as long as it takes
// others to notice.
func (s *Server) announce() {
	close(s.unready)
	s.grpc.unready()
	if s.stopDelay > 0 {
		time.Sleep(s.stopDelay)
	}
}

// drain ends the tails and waits for requests in flight; those that take too
// long are cut, which their clients see and retry. It waits for served, what
// the listener of HTTP ends with.
func (s *Server) drain(served <-chan error) error {
	close(s.stopping)
	s.tails.Hurry() // while requests in flight finish
	ctx, cancel := context.WithTimeout(context.Background(), requestsTimeout-s.stopDelay)
	defer cancel()
	var calls errgroup.Group
	calls.Go(func() error { return s.grpc.shutdown(ctx) })
	err := s.http.Shutdown(ctx)
	s.tails.Wait()
	err = errors.Join(err, calls.Wait())
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests in flight were cut", slog.Duration("after", requestsTimeout-s.stopDelay))
		err = s.http.Close()
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
