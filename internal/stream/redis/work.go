package redis

import (
	"context"
	"sync"
	"time"
)

// maxBackground bounds the jobs of a node at once that offload or remove lines.
const maxBackground = 4

// work is what a node does in the background: loops, which run for as long as
// the engine does, and jobs.
type work struct {
	ctx    context.Context //nolint:containedctx // its life is that of all work
	cancel context.CancelFunc
	wg     sync.WaitGroup
	slots  chan struct{} // one for each job
}

func newWork() *work {
	w := &work{slots: make(chan struct{}, maxBackground)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// loop runs f, which returns when its context ends.
func (w *work) loop(f func(ctx context.Context)) { w.wg.Go(func() { f(w.ctx) }) }

// every runs f at intervals of d, for as long as the engine runs.
func (w *work) every(d time.Duration, f func(ctx context.Context)) {
	w.loop(func(ctx context.Context) {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f(ctx)
			}
		}
	})
}

// job runs f once a slot is free, unless the engine stops before.
func (w *work) job(f func(ctx context.Context)) {
	if w.ctx.Err() != nil {
		return
	}
	w.wg.Go(func() {
		select {
		case w.slots <- struct{}{}:
			defer func() { <-w.slots }()
			f(w.ctx)
		case <-w.ctx.Done():
		}
	})
}
