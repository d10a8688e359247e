package redis

import (
	"context"

	logservice "github.com/harness/log-service"
)

// reap removes, in the background, what is left of a deleted stream once
// nobody reads it any more.
func (h handle) reap() {
	h.work.job(func(ctx context.Context) {
		if err := h.reapNow(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("cannot remove the rest of a deleted stream yet", "error", err)
		}
	})
}

func (h handle) reapNow(ctx context.Context) error {
	step := func(done string) (int64, error) {
		args := append([]string{h.name, h.members.now(), h.gen, done}, h.members.allAlive()...)
		a, err := h.call(ctx, h.redis.scripts.reap, args...)
		return a.int(0), err
	}
	left, err := step("0")
	if err == nil && left == reapUnknown {
		if err = h.members.heartbeat(ctx); err == nil {
			left, err = step("1")
		}
	}
	if err != nil || left != reapSegments {
		return err
	}
	at := stored(h.gen)
	for entry, err := range h.store.List(ctx, at.Account, at.Key) {
		if err != nil {
			return err
		}
		if err := h.store.Delete(ctx, logservice.ID{Account: at.Account, Key: entry.Key}); err != nil {
			return err
		}
	}
	_, err = step("2")
	return err
}

// Results of reap.lua, other than 0 for a stream with readers and 2 for one
// that is removed.
const (
	reapSegments = 1
	reapUnknown  = 3
)
