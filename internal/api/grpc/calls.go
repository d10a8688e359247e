package grpcapi

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// maxPage bounds the streams in one message, so that even with the longest keys
// it stays below the 4 MiB that gRPC clients accept by default.
const maxPage = 5000

// Open implements LogStream.
func (s *Server) Open(ctx context.Context, r *logservicev1.OpenRequest) (*logservicev1.OpenResponse, error) {
	c := callerOf(ctx)
	l, err := c.find(r.GetAccount(), r.GetKey())
	if err != nil {
		return nil, err
	}
	ttl, err := duration("ttl", r.GetTtl())
	if err != nil {
		return nil, err
	}
	o, err := c.Opening(l, ttl, r.GetTruncate())
	if err != nil {
		return nil, err
	}
	return &logservicev1.OpenResponse{}, s.service.Open(ctx, l.ID(), o)
}

// duration reads a field that may be absent, which is zero.
func duration(field string, d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, logservice.Invalidf("%s is not a duration: %v", field, err)
	}
	v := d.AsDuration()
	if v < 0 {
		return 0, logservice.Invalidf("%s is %v: it may not be negative", field, v)
	}
	return v, nil
}

// Close implements LogStream.
func (s *Server) Close(ctx context.Context, r *logservicev1.CloseRequest) (*logservicev1.CloseResponse, error) {
	c := callerOf(ctx)
	id, err := c.log(r.GetAccount(), r.GetKey())
	if err != nil {
		return nil, err
	}
	how, err := archiving(r.GetArchiving())
	if err != nil {
		return nil, err
	}
	if err := c.Closing(how, id); err != nil {
		return nil, err
	}
	if r.GetPrefix() {
		err = s.service.CloseUnder(ctx, id.Account, id.Key, how)
	} else {
		err = s.service.Close(ctx, id, how)
	}
	return &logservicev1.CloseResponse{}, err
}

func archiving(a logservicev1.Archiving) (logs.Archiving, error) {
	switch a {
	case logservicev1.Archiving_ARCHIVING_UNSPECIFIED:
		return logs.ArchiveIfMissing, nil
	case logservicev1.Archiving_ARCHIVING_ALWAYS:
		return logs.ArchiveAlways, nil
	case logservicev1.Archiving_ARCHIVING_NEVER:
		return logs.ArchiveNever, nil
	}
	return 0, logservice.Invalidf("archiving %d is unknown: use 0, 1 or 2", a)
}

// List implements LogStream. Its page token is the last key of the page.
func (s *Server) List(ctx context.Context, r *logservicev1.ListRequest) (*logservicev1.ListResponse, error) {
	filter, err := callerOf(ctx).listing(r.GetAccount(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	size := int(r.GetPageSize())
	if size < 0 || size > maxPage {
		return nil, logservice.Invalidf("page_size is %d: use 1 to %d, or 0 for that many", size, maxPage)
	}
	size = cmp.Or(size, maxPage)
	infos, backlog, err := s.list(ctx, filter)
	if err != nil {
		return nil, err
	}
	from := 0
	if token := r.GetPageToken(); token != "" {
		last, err := logservice.ParseKey(token)
		if err != nil {
			return nil, logservice.Invalidf("page_token is none that this call has given out: send next_page_token as it was")
		}
		at, found := slices.BinarySearchFunc(infos, last, func(i logs.Info, k logservice.Key) int { return cmp.Compare(i.ID.Key, k) })
		if from = at; found {
			from++
		}
	}
	end := min(from+size, len(infos))
	answer := &logservicev1.ListResponse{Streams: describeAll(infos[from:end])}
	if backlog.Waiting > 0 {
		answer.Archiving = &logservicev1.Backlog{Waiting: int64(backlog.Waiting), Failing: int64(backlog.Failing)}
	}
	if end < len(infos) {
		answer.NextPageToken = string(infos[end-1].ID.Key)
	}
	return answer, nil
}

// list returns the open streams of f, ordered by key, and counts those that
// wait to be archived.
func (s *Server) list(ctx context.Context, f logs.Filter) ([]logs.Info, service.Backlog, error) {
	infos, err := s.service.List(ctx, f)
	if err != nil {
		return nil, service.Backlog{}, err
	}
	backlog := s.service.Backlog(infos)
	infos = slices.DeleteFunc(infos, func(i logs.Info) bool { return i.Closed })
	slices.SortFunc(infos, func(a, b logs.Info) int { return cmp.Compare(a.ID.Key, b.ID.Key) })
	return infos, backlog, nil
}

func describeAll(infos []logs.Info) []*logservicev1.StreamInfo {
	out := make([]*logservicev1.StreamInfo, len(infos))
	for n, i := range infos {
		out[n] = &logservicev1.StreamInfo{
			Key: string(i.ID.Key), Attempt: later(i.Attempt), Lines: i.Lines, Bytes: i.Bytes, Subscribers: int32(i.Subscribers),
			Ttl: durationpb.New(max(i.TTL, 0).Truncate(time.Second)), Node: i.Node,
		}
	}
	return out
}
