package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// linkKey is the key that signs links.
type linkKey struct {
	redis  *client
	log    *slog.Logger
	name   string                 // in Redis
	shared atomic.Pointer[[]byte] // by all nodes; nil: not requested
}

// share returns the key that signs the links of all nodes: own, if this node is
// the first to offer one.
func (l *linkKey) share(ctx context.Context, own []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := l.offer(ctx, own); err != nil {
		return nil, err
	}
	shared, err := l.redis.Do(ctx, l.redis.B().Get().Key(l.name).Build()).AsBytes()
	if err != nil {
		return nil, unavailable(err)
	}
	if len(shared) != len(own) {
		return nil, unavailable(errors.New("the key of links is damaged: delete " + l.name))
	}
	l.shared.Store(&shared)
	return shared, nil
}

// offer stores a key if Redis has none.
func (l *linkKey) offer(ctx context.Context, own []byte) error {
	set := l.redis.B().Set().Key(l.name).Value(rueidis.BinaryString(own)).Nx().Build()
	if err := l.redis.Do(ctx, set).Error(); err != nil && !rueidis.IsRedisNil(err) {
		return unavailable(err)
	}
	return nil
}

// restore stores the key that signs links in a Redis that was flushed, before a
// starting node makes another one.
func (l *linkKey) restore(ctx context.Context) {
	if shared := l.shared.Load(); shared != nil {
		if err := l.offer(ctx, *shared); err != nil {
			l.log.Warn("cannot store the link key again: other nodes may reject links of this node", "error", err)
		}
	}
}
