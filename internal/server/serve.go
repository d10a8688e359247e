package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Serve answers requests until ctx ends or the listener fails, then stops in
// order: tails end so that their clients connect elsewhere, requests in
// flight finish, the background work ends, everything is flushed and let go.
// The stop takes at most config.StopTimeout, also where a disk or a backend
// never answers: then it returns an *UnfinishedError. Serve returns nil after a
// stop that ended everything; call it once.
func (s *Server) Serve(ctx context.Context) error {
	background, end := context.WithCancel(context.Background())
	defer end()
	var work errgroup.Group
	work.Go(func() error { return s.service.Run(background) })
	work.Go(func() error { s.auth.Prepare(background); return nil })
	work.Go(func() error { reclaim(background); return nil })
	work.Go(func() error { s.watchHealth(background); return nil })

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
		s.stop.begin()
		s.log.Info("stopping", slog.Any("cause", context.Cause(ctx)))
		s.announce()
		err = s.drain(failed)
	}
	end()
	err = errors.Join(err, s.stop.step("background work", backgroundUntil, work.Wait), s.Close())
	ended := func() error { <-grpcEnded; return wrap("admin listener", <-adminEnded) }
	return errors.Join(err, s.stop.step("listeners", listenersUntil, ended))
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
	s.stop.begin()
	ctx, cancel := context.WithDeadline(context.Background(), s.stop.begun.Add(requestsUntil))
	defer cancel()
	err := s.stop.step("requests", requestsUntil+cutTime, func() error {
		var calls errgroup.Group
		calls.Go(func() error { return s.grpc.shutdown(ctx) })
		err := s.http.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			s.log.Warn("requests in flight were interrupted", slog.Duration("after", requestsUntil-s.stopDelay))
			err = s.http.Close()
		}
		s.tails.Wait()
		if callErr := calls.Wait(); !errors.Is(callErr, context.DeadlineExceeded) {
			err = errors.Join(err, callErr)
		}
		return err
	})
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// cutTime is how long requests that are cut may take to notice.
const cutTime = time.Second
