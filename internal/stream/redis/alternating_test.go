package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// Two nodes that are called alternately are one engine: any sequence of calls,
// with nearly all lines in segments, and in the long run all of the suite, with
// restarts.
func TestTwoAlternatingNodesConform(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	segments := alternate(redis.Config{Addresses: []string{s.Addr}, StreamMemory: 2 << 10, Memory: 64 << 10})
	if os.Getenv(streamtest.LongEnv) == "" {
		segments.Reopen = nil
		streamtest.RunModel(t, segments)
		return
	}
	t.Run("in Redis", func(t *testing.T) { streamtest.Run(t, alternate(redis.Config{Addresses: []string{s.Addr}})) })
	t.Run("in segments", func(t *testing.T) { streamtest.Run(t, segments) })
}

func alternate(c redis.Config) streamtest.Backend {
	return streamtest.Backend{
		Open: func(t *testing.T) logs.Streams {
			c.Prefix = fmt.Sprintf("alternate-%d:", runs.Add(1))
			c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			return &alternating{nodes: newNodes(t, 2, c), logs: map[logservice.ID]*ackedLog{}}
		},
		Reopen: func(t *testing.T, s logs.Streams) logs.Streams {
			x := s.(*alternating)
			n := x.next()
			n.stop(t)
			n.start(t)
			return x
		},
	}
}

// alternating makes each call at the next of its nodes. One node hears a little later
// what another did: readers and listings wait for what was acknowledged.
type alternating struct {
	nodes []*node

	mu   sync.Mutex // guards what follows
	i    int
	logs map[logservice.ID]*ackedLog
}

// ackedLog is what was acknowledged of a stream.
type ackedLog struct {
	next    int64
	ended   bool
	readers int
}

func (x *alternating) next() *node {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.i++
	return x.nodes[x.i%len(x.nodes)]
}

// log notes what is known of a stream now.
func (x *alternating) log(id logservice.ID, note func(*ackedLog)) *ackedLog {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.logs[id]
	if l == nil {
		l = &ackedLog{next: 1}
		x.logs[id] = l
	}
	note(l)
	return l
}

// gone notes that a stream is deleted, whose readers read on to its end.
func (x *alternating) gone(id logservice.ID) {
	x.log(id, func(l *ackedLog) {
		l.ended = true
		delete(x.logs, id)
	})
}

func (x *alternating) Open(ctx context.Context, id logservice.ID, o logs.OpenOptions) error {
	n := x.next()
	err := n.Open(ctx, id, o)
	if err == nil && o.Truncate {
		x.gone(id)
	}
	return err
}

func (x *alternating) Append(ctx context.Context, id logservice.ID, l logs.Lines) (int64, error) {
	n := x.next()
	next, err := patient{n}.Append(ctx, id, l)
	if err == nil {
		x.log(id, func(l *ackedLog) { l.next = max(l.next, next) })
	}
	return next, err
}

func (x *alternating) Close(ctx context.Context, id logservice.ID, how logs.Closing) error {
	n := x.next()
	err := n.Close(ctx, id, how)
	if err == nil {
		x.log(id, func(l *ackedLog) { l.ended = true })
	}
	return err
}

func (x *alternating) Delete(ctx context.Context, id logservice.ID) error {
	n := x.next()
	err := n.Delete(ctx, id)
	if err == nil {
		x.gone(id)
	}
	return err
}

func (x *alternating) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	n := x.next()
	c, err := n.Follow(ctx, id, after)
	if err != nil {
		return nil, err
	}
	return &alternatingCursor{Cursor: c, x: x, pos: after, l: x.log(id, func(l *ackedLog) { l.readers++ })}, nil
}

func (x *alternating) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	n := x.next()
	for end := time.Now().Add(patience); ; {
		infos, err := n.List(ctx, f)
		agree := true
		for _, in := range infos {
			x.log(in.ID, func(l *ackedLog) { agree = agree && in.Subscribers == l.readers })
		}
		if err != nil || agree || time.Now().After(end) {
			return infos, err
		}
	}
}

func (x *alternating) Stat(ctx context.Context, id logservice.ID) (logs.Info, error) {
	n := x.next()
	return n.Stat(ctx, id)
}

func (x *alternating) Due(ctx context.Context) (all []logs.Info, err error) {
	for _, n := range x.nodes {
		infos, err := n.Due(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, infos...)
	}
	return all, nil
}

// Claim claims at the node that closed the stream: it has the claim already.
func (x *alternating) Claim(ctx context.Context, id logservice.ID) (c logs.Claim, err error) {
	for _, n := range x.nodes {
		if c, err = n.Claim(ctx, id); !errors.Is(err, logs.ErrClaimed) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return alternatingClaim{c, x, id}, nil
}

// Take takes the stream at another node than the one that closed it, where
// there is one.
func (x *alternating) Take(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	c, err := x.nodes[len(x.nodes)-1].Take(ctx, id)
	if err != nil {
		return nil, err
	}
	return alternatingClaim{c, x, id}, nil
}

type alternatingClaim struct {
	logs.Claim
	x  *alternating
	id logservice.ID
}

func (c alternatingClaim) Delete(ctx context.Context) error {
	err := c.Claim.Delete(ctx)
	if err == nil {
		c.x.gone(c.id)
	}
	return err
}

type alternatingCursor struct {
	logs.Cursor
	x      *alternating
	l      *ackedLog
	pos    int64
	closed bool
}

func (c *alternatingCursor) Next(ctx context.Context) ([]*logs.Batch, error) {
	limit := time.After(patience)
	for {
		found, err := c.Cursor.Next(ctx)
		if len(found) > 0 {
			c.pos = found[len(found)-1].Last()
		}
		c.x.mu.Lock()
		more := c.pos+1 < c.l.next || c.l.ended
		c.x.mu.Unlock()
		if err != nil || len(found) > 0 || !more {
			return found, err
		}
		select {
		case <-c.Ready():
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-limit:
			return nil, errors.New("what was acknowledged does not come")
		}
	}
}

func (c *alternatingCursor) Close() {
	c.Cursor.Close()
	if c.closed {
		return
	}
	c.closed = true
	c.x.mu.Lock()
	c.l.readers--
	c.x.mu.Unlock()
}
