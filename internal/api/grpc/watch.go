package grpcapi

import (
	"cmp"
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

const (
	// DefaultWatchInterval is the default and the shortest interval of a watch:
	// a refresh may list the account's streams.
	DefaultWatchInterval = time.Second
	// maxInterval is the longest interval of a watch.
	maxInterval = time.Minute
	// maxWatches limits the watches of the server; see watchShare.
	maxWatches = 320
)

// Watch implements LogStream.
func (s *Server) Watch(r *logservicev1.WatchRequest, stream grpc.ServerStreamingServer[logservicev1.WatchResponse]) error {
	filter, err := callerOf(stream.Context()).listing(r.GetAccount(), r.GetPrefix())
	if err != nil {
		return err
	}
	every, err := duration("interval", r.GetInterval())
	if err != nil {
		return err
	}
	every = cmp.Or(every, s.interval)
	if every < s.interval || every > maxInterval {
		return logservice.Invalidf("interval is %v: use %v to %v", every, s.interval, maxInterval)
	}
	l, ok := s.lists.enter(filter.Account)
	if !ok {
		return &logservice.UnavailableError{Cause: errors.New("too many watches"), RetryAfter: every}
	}
	defer s.lists.leave(l)
	return s.supervise(stream, func(send func(any) error) error {
		return s.watch(stream.Context(), l, filter.Prefix, every, send)
	})
}

func (s *Server) watch(ctx context.Context, l *accountList, prefix logservice.Key, every time.Duration, send func(any) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for seen := int64(0); ; {
		snap, err := l.now(ctx)
		if err != nil {
			return err
		}
		changed, ended, err := snap.since(seen, prefix)
		if err != nil {
			return err
		}
		if seen == 0 || len(changed)+len(ended) > 0 {
			if err := sendChanges(send, changed, ended); err != nil {
				return err
			}
		}
		seen = snap.version
		select {
		case <-tick.C:
		case <-s.stop:
			return stopping()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendChanges sends the changes of one refresh, in messages of at most maxPage
// streams.
func sendChanges(send func(any) error, changed []logs.Info, ended []string) error {
	for {
		c, e := min(maxPage, len(changed)), min(maxPage, len(ended))
		m := &logservicev1.WatchResponse{Streams: describeAll(changed[:c]), Ended: ended[:e]}
		changed, ended = changed[c:], ended[e:]
		m.More = len(changed)+len(ended) > 0
		if err := send(m); err != nil || !m.More {
			return err
		}
	}
}
