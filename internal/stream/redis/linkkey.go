package redis

import (
	"context"
	"errors"

	"github.com/redis/rueidis"
)

// LinkKey returns the key that signs the links of all nodes: own, where it is
// the first to offer one.
func (e *Engine) LinkKey(ctx context.Context, own []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	key := e.linkKeyName()
	if err := e.offerLinkKey(ctx, own); err != nil {
		return nil, err
	}
	shared, err := e.client.Do(ctx, e.client.B().Get().Key(key).Build()).AsBytes()
	if err != nil {
		return nil, e.unavailable(err)
	}
	if len(shared) != len(own) {
		return nil, e.unavailable(errors.New("the key of links is damaged: delete " + key))
	}
	e.linkKey.Store(&shared)
	return shared, nil
}

func (e *Engine) linkKeyName() string { return e.buckets[0].root + "link-key" }

// offerLinkKey stores a key where Redis has none.
func (e *Engine) offerLinkKey(ctx context.Context, own []byte) error {
	set := e.client.B().Set().Key(e.linkKeyName()).Value(rueidis.BinaryString(own)).Nx().Build()
	if err := e.client.Do(ctx, set).Error(); err != nil && !rueidis.IsRedisNil(err) {
		return e.unavailable(err)
	}
	return nil
}

// restoreLinkKey gives a Redis that was flushed the key that links are signed
// with, before a node that starts anew makes another one.
func (e *Engine) restoreLinkKey(ctx context.Context) {
	if shared := e.linkKey.Load(); shared != nil {
		if err := e.offerLinkKey(ctx, *shared); err != nil {
			e.log.Warn("cannot store the link key again: other nodes may reject links of this node", "error", err)
		}
	}
}
