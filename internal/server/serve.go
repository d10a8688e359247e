package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// requestsTimeout is how long requests in flight may go on once a stop began.
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

	adminEnded := make(chan error, 1)
	go func() { adminEnded <- s.admin.serve() }()

	failed := make(chan error, 1)
	go func() { failed <- s.serve() }()

	var err error
	select {
	case err = <-failed:
		close(s.stopping)
	case <-ctx.Done():
		s.log.Info("stopping", slog.Any("cause", context.Cause(ctx)))
		err = s.drain()
		if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
	}
	end()
	return errors.Join(err, work.Wait(), s.Close(), wrap("admin listener", <-adminEnded))
}

func (s *Server) serve() error {
	if s.tls != nil {
		return s.http.ServeTLS(s.listener, "", "") // its config has the certificates
	}
	return s.http.Serve(s.listener)
}

// drain ends the tails and waits for requests in flight; those that take too
// long are cut, which their clients see and retry.
func (s *Server) drain() error {
	close(s.stopping)
	ctx, cancel := context.WithTimeout(context.Background(), requestsTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	s.tails.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests in flight were cut", slog.Duration("after", requestsTimeout))
		return s.http.Close()
	}
	return err
}
