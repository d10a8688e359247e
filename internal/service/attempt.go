package service

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// grace is how long after the end of a log whose writer became silent an
	// opening continues its attempt.
	grace = 5 * time.Minute
	// askWait bounds how long an opening waits for the store to list the
	// attempts.
	askWait = 2 * time.Second
)

// opening sets the attempt number of a stream of id that does not exist yet:
// the one after the newest stored attempt, or that attempt's own if it has no
// lines or its writer became silent a moment ago. If the store does not answer,
// it is 1; the archiver gives the attempt another number if that is taken.
func (s *Service) opening(ctx context.Context, id logservice.ID, o logs.OpenOptions) (logs.OpenOptions, error) {
	info, err := s.streams.Stat(ctx, id)
	if err == nil && info.Closed {
		return o, errArchiving // only then is the next number known
	}
	if err == nil {
		return o, nil // it is kept, or (with Truncate) the engine counts on
	}
	if !errors.Is(err, logservice.ErrStreamNotFound) {
		return o, err
	}
	last, err := s.last(ctx, id)
	switch {
	case err != nil:
		s.log.Warn("cannot find out which attempt of a log is opened: the store does not answer", "account", id.Account, "key", id.Key, "error", err)
	case last.number == 0:
	case last.empty:
		o.Attempt = last.number
	case last.incomplete && time.Since(last.modified) < grace && !o.Truncate:
		o.Attempt, o.First = last.number, last.next
	default:
		o.Attempt = last.number + 1
	}
	return o, nil
}

// continues handles an append to an empty stream by a writer that continues
// after the last line of an incomplete attempt: the stream becomes its
// continuation. It reports whether the append must be repeated.
func (s *Service) continues(ctx context.Context, id logservice.ID, err error) bool {
	var gap *logservice.SequenceError
	if !errors.As(err, &gap) || gap.Expected != 1 {
		return false
	}
	last, err := s.last(ctx, id)
	if err != nil || !last.incomplete || last.next != gap.Offset {
		return false
	}
	info, err := s.streams.Stat(ctx, id)
	if err != nil || !info.Empty() || info.Closed {
		return false
	}
	if u, err := s.stored.uploads(ctx, id, info.Attempt); err != nil || len(u.all) > 0 {
		return false // it has begun with an upload
	}
	err = s.streams.Open(ctx, id, logs.OpenOptions{TTL: info.TTL, Truncate: true, Attempt: last.number, First: last.next})
	return err == nil
}

// lastAttempt is what an opening needs to know about the newest attempt.
type lastAttempt struct {
	number     int64 // zero: nothing is stored
	next       int64
	empty      bool
	incomplete bool
	modified   time.Time
}

func (s *Service) last(ctx context.Context, id logservice.ID) (l lastAttempt, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	number, err := s.stored.newest(ctx, id)
	if err != nil || number == 0 {
		return l, err
	}
	l.number = number
	content, err := s.stored.open(ctx, id, number)
	switch {
	case isDamage(err):
		return l, nil
	case err != nil:
		return l, err
	}
	defer content.Close()
	l.modified, l.incomplete = content.Modified, content.Incomplete
	if content.archive == nil {
		l.incomplete = false // an upload ends where it ends
		l.empty = content.stored() == 0
		return l, nil
	}
	sum := content.archive.Summary()
	l.next, l.empty = sum.Next, sum.Lines == 0
	return l, nil
}
