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
	key := e.buckets[0].root + "link-key"
	set := e.client.B().Set().Key(key).Value(rueidis.BinaryString(own)).Nx().Build()
	if err := e.client.Do(ctx, set).Error(); err != nil && !rueidis.IsRedisNil(err) {
		return nil, e.unavailable(err)
	}
	shared, err := e.client.Do(ctx, e.client.B().Get().Key(key).Build()).AsBytes()
	if err != nil {
		return nil, e.unavailable(err)
	}
	if len(shared) != len(own) {
		return nil, e.unavailable(errors.New("the key of links is damaged: delete " + key))
	}
	return shared, nil
}
