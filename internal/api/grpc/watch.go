package grpcapi

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

const (
	// DefaultWatchInterval is the default and the shortest interval of a watch:
	// each refresh lists the account's streams.
	DefaultWatchInterval = time.Second
	// maxInterval is the longest interval of a watch.
	maxInterval = time.Minute
	// maxWatches bounds the watches of the server: each remembers what it
	// reported of every stream, some 100 bytes.
	maxWatches = 64
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
	select {
	case s.watches <- struct{}{}:
		defer func() { <-s.watches }()
	default:
		return &logservice.UnavailableError{Cause: errors.New("too many watches"), RetryAfter: every}
	}
	return s.supervise(stream, func(send func(any) error) error {
		return s.watch(stream.Context(), filter, every, send)
	})
}

func (s *Server) watch(ctx context.Context, filter logs.Filter, every time.Duration, send func(any) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	known := map[logservice.Key]seen{}
	for first := true; ; first = false {
		infos, _, err := s.list(ctx, filter)
		if err != nil {
			return err
		}
		changed, ended := difference(known, infos)
		if first || len(changed)+len(ended) > 0 {
			if err := sendChanges(send, changed, ended); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-s.stop:
			return stopping()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// seen is what a watch has reported of a stream.
type seen struct {
	lines, bytes int64
	subscribers  int
}

// difference updates known to infos and returns the changes.
func difference(known map[logservice.Key]seen, infos []logs.Info) (changed []logs.Info, ended []string) {
	now := make(map[logservice.Key]struct{}, len(infos))
	for _, i := range infos {
		now[i.ID.Key] = struct{}{}
		is := seen{i.Lines, i.Bytes, i.Subscribers}
		if was, ok := known[i.ID.Key]; !ok || was != is {
			known[i.ID.Key] = is
			changed = append(changed, i)
		}
	}
	for key := range known {
		if _, ok := now[key]; !ok {
			delete(known, key)
			ended = append(ended, string(key))
		}
	}
	slices.Sort(ended)
	return changed, ended
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
