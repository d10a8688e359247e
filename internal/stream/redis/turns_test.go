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

// Two nodes whose calls are made at one and the other in turn are one engine:
// any sequence of calls, with nearly all lines in parts, and in the long run
// all of the suite, with restarts.
func TestTwoNodesInTurnConform(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	parts := inTurn(redis.Config{Addresses: []string{s.Addr}, StreamMemory: 2 << 10, Memory: 64 << 10})
	if os.Getenv(streamtest.LongEnv) == "" {
		parts.Reopen = nil
		streamtest.RunModel(t, parts)
		return
	}
	t.Run("in Redis", func(t *testing.T) { streamtest.Run(t, inTurn(redis.Config{Addresses: []string{s.Addr}})) })
	t.Run("in parts", func(t *testing.T) { streamtest.Run(t, parts) })
}

func inTurn(c redis.Config) streamtest.Backend {
	return streamtest.Backend{
		Open: func(t *testing.T) logs.Streams {
			c.Prefix = fmt.Sprintf("turns-%d:", runs.Add(1))
			c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			return &turns{nodes: newNodes(t, 2, c), logs: map[logservice.ID]*turnsLog{}}
		},
		Reopen: func(t *testing.T, s logs.Streams) logs.Streams {
			x := s.(*turns)
			n := x.turn()
			n.stop(t)
			n.start(t)
			return x
		},
	}
}

// turns makes each call at the next of its nodes. One node hears a little later
// what another did: readers and listings wait for what was acknowledged.
type turns struct {
	nodes []*node

	mu   sync.Mutex // guards what follows
	i    int
	logs map[logservice.ID]*turnsLog
}

// turnsLog is what was acknowledged of a stream.
type turnsLog struct {
	next    int64
	ended   bool
	readers int
}

func (x *turns) turn() *node {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.i++
	return x.nodes[x.i%len(x.nodes)]
}

// log notes what is known of a stream now.
func (x *turns) log(id logservice.ID, note func(*turnsLog)) *turnsLog {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.logs[id]
	if l == nil {
		l = &turnsLog{next: 1}
		x.logs[id] = l
	}
	note(l)
	return l
}

// gone lets a stream go, whose readers read on to its end.
func (x *turns) gone(id logservice.ID) {
	x.log(id, func(l *turnsLog) {
		l.ended = true
		delete(x.logs, id)
	})
}

func (x *turns) Open(ctx context.Context, id logservice.ID, o logs.OpenOptions) error {
	n := x.turn()
	err := n.Open(ctx, id, o)
	if err == nil && o.Truncate {
		x.gone(id)
	}
	return err
}

func (x *turns) Append(ctx context.Context, id logservice.ID, l logs.Lines) (int64, error) {
	n := x.turn()
	next, err := patient{n}.Append(ctx, id, l)
	if err == nil {
		x.log(id, func(l *turnsLog) { l.next = max(l.next, next) })
	}
	return next, err
}

func (x *turns) Close(ctx context.Context, id logservice.ID, how logs.Closing) error {
	n := x.turn()
	err := n.Close(ctx, id, how)
	if err == nil {
		x.log(id, func(l *turnsLog) { l.ended = true })
	}
	return err
}

func (x *turns) Delete(ctx context.Context, id logservice.ID) error {
	n := x.turn()
	err := n.Delete(ctx, id)
	if err == nil {
		x.gone(id)
	}
	return err
}

func (x *turns) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	n := x.turn()
	c, err := n.Follow(ctx, id, after)
	if err != nil {
		return nil, err
	}
	return &turnsCursor{Cursor: c, x: x, pos: after, l: x.log(id, func(l *turnsLog) { l.readers++ })}, nil
}

func (x *turns) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	n := x.turn()
	for end := time.Now().Add(patience); ; {
		infos, err := n.List(ctx, f)
		told := true
		for _, in := range infos {
			x.log(in.ID, func(l *turnsLog) { told = told && in.Subscribers == l.readers })
		}
		if err != nil || told || time.Now().After(end) {
			return infos, err
		}
	}
}

func (x *turns) Stat(ctx context.Context, id logservice.ID) (logs.Info, error) {
	n := x.turn()
	return n.Stat(ctx, id)
}

func (x *turns) Due(ctx context.Context) (all []logs.Info, err error) {
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
func (x *turns) Claim(ctx context.Context, id logservice.ID) (c logs.Claim, err error) {
	for _, n := range x.nodes {
		if c, err = n.Claim(ctx, id); !errors.Is(err, logs.ErrClaimed) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return turnsClaim{c, x, id}, nil
}

// Take takes the stream at another node than the one that closed it, where
// there is one.
func (x *turns) Take(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	c, err := x.nodes[len(x.nodes)-1].Take(ctx, id)
	if err != nil {
		return nil, err
	}
	return turnsClaim{c, x, id}, nil
}

type turnsClaim struct {
	logs.Claim
	x  *turns
	id logservice.ID
}

func (c turnsClaim) Delete(ctx context.Context) error {
	err := c.Claim.Delete(ctx)
	if err == nil {
		c.x.gone(c.id)
	}
	return err
}

type turnsCursor struct {
	logs.Cursor
	x      *turns
	l      *turnsLog
	pos    int64
	closed bool
}

func (c *turnsCursor) Next(ctx context.Context) ([]*logs.Batch, error) {
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

func (c *turnsCursor) Close() {
	c.Cursor.Close()
	if c.closed {
		return
	}
	c.closed = true
	c.x.mu.Lock()
	c.l.readers--
	c.x.mu.Unlock()
}
