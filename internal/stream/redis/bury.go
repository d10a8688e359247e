package redis

import (
	"context"

	logservice "github.com/harness/log-service"
)

// bury removes, in the background, what is left of a deleted stream once
// nobody reads it any more.
func (e *Engine) bury(b *bucket, name, gen string) {
	e.background(func(ctx context.Context) {
		if err := e.buryNow(ctx, b, name, gen); err != nil && ctx.Err() == nil {
			e.log.Warn("cannot remove the rest of a deleted stream yet", "error", err)
		}
	})
}

func (e *Engine) buryNow(ctx context.Context, b *bucket, name, gen string) error {
	bury := func(done string) (int64, error) {
		args := append([]string{name, e.now(), gen, done}, e.living()...)
		a, err := e.call(ctx, e.scripts.bury, b.root, args...)
		return a.int(0), err
	}
	left, err := bury("0")
	if err == nil && left == buryUnknown {
		if err = e.heartbeat(ctx); err == nil {
			left, err = bury("1")
		}
	}
	if err != nil || left != buryParts {
		return err
	}
	at := stored(gen)
	for entry, err := range e.config.Store.List(ctx, at.Account, at.Key) {
		if err != nil {
			return err
		}
		if err := e.config.Store.Delete(ctx, logservice.ID{Account: at.Account, Key: entry.Key}); err != nil {
			return err
		}
	}
	_, err = bury("2")
	return err
}

// What bury.lua answers, beside 0 for a stream with readers and 2 for one that
// is gone.
const (
	buryParts   = 1
	buryUnknown = 3
)
