package service

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
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

// closer closes streams and runs a job for each closed one, until its log is
// archived and the stream deleted.
//
//	close ─► claim ─► Streams.Close ─► start ─► work ─► Claim, archive, Delete
//	                         resume ──────┘ closed streams without a job
type closer struct {
	streams  logs.Streams
	jobs     *jobs
	archiver *archiver
	quota    *quota
	log      *slog.Logger
	metrics  *metrics

	left     atomic.Bool   // there may be closed streams without a job
	capacity chan struct{} // wakes maintenance: there is capacity for those
}

func newCloser(c Config, a *archiver, q *quota, m *metrics) *closer {
	x := &closer{
		streams: c.Streams, jobs: newJobs(c), archiver: a, quota: q, log: c.Logger, metrics: m,
		capacity: make(chan struct{}, 1),
	}
	x.leave() // left by an earlier process
	return x
}

// leave records that a closed stream may be left without a job.
func (c *closer) leave() { c.left.Store(true) }

// takeLeft is called before all closed streams are listed to be resumed:
// whoever leaves one from then on calls leave again.
func (c *closer) takeLeft() { c.left.Store(false) }

// wake makes maintenance resume what is left without a job.
func (c *closer) wake() {
	if !c.left.Load() {
		return
	}
	select {
	case c.capacity <- struct{}{}:
	default: // it will run anyway
	}
}

// Close ends the stream of id, durably, and then archives and deletes it as how
// says. It answers within 8 s, or once the archiving failed for the first time.
// Archiving that takes longer, or that fails because the store does, continues
// in the background until it succeeds, and nil is returned. Closing a stream
// that is being archived waits for the same work (the first close's how
// applies). Empty logs are archived like others: that a step wrote nothing is
// worth knowing. ErrStreamNotFound: there is no such stream.
func (c *closer) Close(ctx context.Context, id logservice.ID, how logs.Archiving) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	j, err := c.close(ctx, id, logs.Closing{Archive: how})
	if err == nil {
		j.wait(ctx)
	}
	return err
}

// CloseUnder closes every stream of account at and below prefix (whole
// segments, empty is all), like Close, in 8 s altogether. None at all is no
// error. If not every stream could be closed in time, it returns
// ErrUnavailable; calling it again continues.
func (c *closer) CloseUnder(ctx context.Context, account string, prefix logservice.Key, how logs.Archiving) error {
	if account == "" { // the filter would take it for all
		return logservice.Invalidf("account is empty")
	}
	infos, err := c.streams.List(ctx, logs.Filter{Account: account, Prefix: prefix})
	if err != nil {
		return err
	}
	ids := make([]logservice.ID, len(infos))
	for i := range infos {
		ids[i] = infos[i].ID
	}
	return c.CloseAll(ctx, ids, how)
}

// CloseAll closes the streams of ids, like CloseUnder. Those that do not
// exist are skipped, so that a repeated call succeeds.
func (c *closer) CloseAll(ctx context.Context, ids []logservice.ID, how logs.Archiving) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	jobs := make([]*job, len(ids))
	var g errgroup.Group
	g.SetLimit(maxClosing)
	for i, id := range ids {
		g.Go(func() (err error) {
			jobs[i], err = c.close(ctx, id, logs.Closing{Archive: how})
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

// close ends the stream durably and returns the job that archives it.
func (c *closer) close(ctx context.Context, id logservice.ID, how logs.Closing) (*job, error) {
	var before *job
	for {
		j, mine, deleting := c.jobs.claim(id, how)
		if mine {
			err := c.closeClaimed(ctx, id, j)
			if before != nil && errors.Is(err, logservice.ErrStreamNotFound) {
				return before, nil // the stream was closed meanwhile
			}
			return j, err
		}
		if err := reached(ctx, j.closed); err != nil {
			return nil, err
		}
		if j.err != nil {
			continue // that call failed; this one tries itself
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

// closeClaimed closes the stream of a job that this call has claimed.
func (c *closer) closeClaimed(ctx context.Context, id logservice.ID, j *job) error {
	err := c.streams.Close(ctx, id, j.how)
	if err == nil && c.left.Load() {
		// It may have been closed before, in another way.
		var info logs.Info
		if info, err = c.streams.Stat(ctx, id); err == nil {
			j.how = info.How
		}
	}
	if err != nil {
		if !errors.Is(err, logservice.ErrStreamNotFound) {
			c.leave() // it may be closed
		}
		if ctx.Err() != nil {
			err = &logservice.UnavailableError{Cause: err}
		}
		c.drop(id, j, err)
		return err
	}
	c.start(id, j)
	return nil
}

// settled waits until no job works on id. It returns false if there was none,
// or if there still is one after wait.
func (c *closer) settled(ctx context.Context, id logservice.ID, wait time.Duration) bool {
	j := c.jobs.get(id)
	if j == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-j.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// waiting reports whether the stream of id is closed and to be archived.
func (c *closer) waiting(ctx context.Context, id logservice.ID) bool {
	if j := c.jobs.get(id); j != nil {
		select {
		case <-j.closed:
		default:
			return false
		}
	}
	// The job does not know what a user has since done to the log through another service.
	info, err := c.streams.Stat(ctx, id)
	return err == nil && info.Pending()
}
