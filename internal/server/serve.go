package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Serve handles requests until ctx ends or a listener fails, then shuts down
// gracefully: tails end, so that their clients reconnect elsewhere; requests in
// progress finish; background work ends; everything is flushed and released.
// The shutdown takes at most config.StopTimeout. If a disk or backend does not
// respond within it, Serve returns an *UnfinishedError; after a complete shutdown
// it returns nil. Call it only once.
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
	// A nil error comes from a disabled service and is ignored.
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
		return s.http.ServeTLS(s.listener, "", "") // the TLS config has the certificates
	}
	return s.http.Serve(s.listener)
}

// announce turns readiness off and keeps serving until load balancers have had time
// to notice.
func (s *Server) announce() {
	close(s.unready)
	s.grpc.unready()
	if s.stopDelay > 0 {
		time.Sleep(s.stopDelay)
	}
}

// drain ends the tails and waits for requests in progress. Those that take too
// long are cut off; their clients notice and retry. drain also waits for served,
// which receives the result of the HTTP listener.
func (s *Server) drain(served <-chan error) error {
	close(s.stopping)
	s.tails.Hurry() // while requests in progress finish
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

// cutTime is how long requests that were cut off may take to return.
const cutTime = time.Second
