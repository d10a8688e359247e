package redis

import (
	"context"
	"time"
)

// wakeTTL removes the wake-up stream of a node that died.
const wakeTTL = time.Hour

// wakeKey names the stream that wakes the reader of this node.
func (k *keyspace) wakeKey() string { return k.root + "wake:" + k.id() }

// sendWake adds to it.
func (k *keyspace) sendWake(ctx context.Context, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c := k.redis
	for _, r := range c.DoMulti(ctx,
		c.B().Xadd().Key(k.wakeKey()).Maxlen().Threshold("1").Id(itoa(id)+"-0").FieldValue().FieldValue("w", "").Build(),
		c.B().Expire().Key(k.wakeKey()).Seconds(int64(wakeTTL.Seconds())).Build()) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}
