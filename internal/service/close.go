package service

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// closeTime bounds the answer of a close: clients give up after 10 s.
	closeTime = 8 * time.Second
	// maxClosing bounds the streams that one request closes at once; their
	// syncs are shared.
	maxClosing = 64
)

// Close ends the stream of id, durably, and then archives and deletes it as
// how says. It answers within 8 s, or once the archiving failed for the first
// time: archiving that takes longer, or that fails because the store does, goes on in the background until it succeeds, and
// nil is returned. Closing a stream that is being archived waits for the same
// work (the first close's how stands). Empty logs are archived like others:
// that a step wrote nothing is worth knowing. ErrStreamNotFound: there is no
// such stream.
func (s *Service) Close(ctx context.Context, id logservice.ID, how logs.Archiving) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	j, err := s.close(ctx, id, logs.Closing{Archive: how})
	if err == nil {
		j.wait(ctx)
	}
	return err
}

// CloseUnder closes every stream of account at and below prefix (whole
// segments, empty is all), like Close, in 8 s altogether. None at all is no
// error. Where not every stream could be closed in time it returns
// ErrUnavailable; asking again goes on.
func (s *Service) CloseUnder(ctx context.Context, account string, prefix logservice.Key, how logs.Archiving) error {
	if account == "" { // the filter would take it for all
		return logservice.Invalidf("account is empty")
	}
	infos, err := s.streams.List(ctx, logs.Filter{Account: account, Prefix: prefix})
	if err != nil {
		return err
	}
	ids := make([]logservice.ID, len(infos))
	for i := range infos {
		ids[i] = infos[i].ID
	}
	return s.CloseAll(ctx, ids, how)
}

// CloseAll closes the streams of ids, like CloseUnder. Those that do not
// exist are passed over, so that a repeated call succeeds.
func (s *Service) CloseAll(ctx context.Context, ids []logservice.ID, how logs.Archiving) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	jobs := make([]*job, len(ids))
	var g errgroup.Group
	g.SetLimit(maxClosing)
	for i, id := range ids {
		g.Go(func() (err error) {
			jobs[i], err = s.close(ctx, id, logs.Closing{Archive: how})
			if errors.Is(err, logservice.ErrStreamNotFound) {
				return nil
			}
			return err
		})
	}
	err := g.Wait()
	for _, j := range jobs {
		if j != nil {
			j.wait(ctx)
		}
	}
	return err
}

// wait returns when the job is over or ctx is, or when nobody knows any more
// how long the job will take.
func (j *job) wait(ctx context.Context) {
	select {
	case <-j.done:
	case <-j.late:
	case <-ctx.Done():
	}
}

// close ends the stream durably and returns the job that goes on with it.
func (s *Service) close(ctx context.Context, id logservice.ID, how logs.Closing) (*job, error) {
	var before *job
	for {
		j, mine, deleting := s.claim(id, how)
		if mine {
			err := s.closeClaimed(ctx, id, j)
			if before != nil && errors.Is(err, logservice.ErrStreamNotFound) {
				return before, nil // it is the one that was closed meanwhile
			}
			return j, err
		}
		if err := reached(ctx, j.closed); err != nil {
			return nil, err
		}
		if j.err != nil {
			continue // that call could not; this one tries itself
		}
		if !deleting {
			return j, nil
		}
		// Perhaps another stream has been opened since.
		if err := reached(ctx, j.done); err != nil {
			return nil, err
		}
		before = j
	}
}

func (s *Service) closeClaimed(ctx context.Context, id logservice.ID, j *job) error {
	err := s.streams.Close(ctx, id, j.how)
	if err == nil && s.backlog.Load() {
		// It may have been closed before, in another way.
		var info logs.Info
		if info, err = s.streams.Stat(ctx, id); err == nil {
			j.how = info.How
		}
	}
	if err != nil {
		if !errors.Is(err, logservice.ErrStreamNotFound) {
			s.backlog.Store(true) // closed for all we know
		}
		if ctx.Err() != nil {
			err = &logservice.UnavailableError{Cause: err}
		}
		s.drop(id, j, err)
		return err
	}
	s.start(id, j)
	return nil
}

func reached(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return &logservice.UnavailableError{Cause: ctx.Err()}
	}
}
