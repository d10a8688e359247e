package redis

import (
	"context"
	"sync/atomic"
	"time"
)

// maxReconcile is how many streams one script reconciles: some milliseconds.
const maxReconcile = 100

// beats are the heartbeats of this node in one bucket. Redis answers each with
// the number of the one before, and so proves that it has all that was written
// until that was sent.
type beats struct {
	sent atomic.Int64 // the number of the last one

	// Of the watcher.
	acked int64 // the last one that Redis answered
	dials int64 // of this node at that time
	// doubt is the beat from which on marks are to be compared with what
	// Redis has; negative: none are.
	doubt int64
}

// begin tells Redis all that this node knows of the bucket from its last run,
// before it serves anybody.
func (b *bucket) begin(ctx context.Context) error {
	if err := b.beat(ctx); err != nil {
		return err
	}
	b.beats.doubt = 0
	return b.reconcile(ctx)
}

// watch finds out with each heartbeat whether Redis has lost something: it was
// flushed, or restarted or replaced with less than it had. It runs until the
// engine stops.
func (b *bucket) watch() {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-b.e.running.Done():
			return
		case <-tick.C:
		}
		err := b.beat(b.e.running)
		if err == nil {
			err = b.reconcile(b.e.running)
		}
		if err != nil && b.e.running.Err() == nil {
			b.e.log.Debug("no heartbeat in a bucket", "error", err)
		}
	}
}

// beat sends one heartbeat, and notes from which on Redis may lack something.
func (b *bucket) beat(ctx context.Context) error {
	t, e := &b.beats, b.e
	dials := e.dials.Load()
	n := t.sent.Add(1)
	a, err := e.call(ctx, e.scripts.beat, b.root, "", e.now(), e.node, itoa(n), e.mayInfo())
	if err != nil {
		return err
	}
	before, evicts := a.int(0), a.int(1) == 1
	lost := before < t.acked
	if lost || dials != t.dials { // a connection is also made after a restart that lost no beat
		if t.doubt < 0 || before < t.doubt {
			t.doubt = before
		}
	}
	t.acked, t.dials = n, dials
	e.policy.found(e.log, evicts)
	if lost {
		e.log.Warn("Redis has lost recent writes: it was flushed, or it restarted or was replaced with older data")
		e.dials.Add(1) // appends look where their streams stand
		b.cancelRead() // and so do readers
		if b.index == 0 {
			e.restoreLinkKey(ctx)
		}
	}
	return nil
}

// reconcile compares the marks that are in doubt with what Redis has, which
// takes in what it lacks.
func (b *bucket) reconcile(ctx context.Context) error {
	t, e := &b.beats, b.e
	if t.doubt < 0 {
		return nil
	}
	var longer, closed, deleted int
	for all := e.marks.since(b.index, t.doubt); len(all) > 0; {
		page := all[:min(len(all), maxReconcile)]
		all = all[len(page):]
		args := []string{"", e.now()}
		for _, m := range page {
			args = append(args, m.name, m.gen, itoa(int64(m.state)), encodeHow(m.how), itoa(m.next))
		}
		a, err := e.call(ctx, e.scripts.reconcile, b.root, args...)
		if err != nil {
			return err
		}
		for i, m := range page {
			switch a.int(i) {
			case reconciledLonger:
				longer++
			case reconciledClosed:
				closed++
			case reconciledBury:
				e.bury(b, m.name, m.gen)
				deleted++
			case reconciledDeleted:
				deleted++
			}
		}
	}
	t.doubt = -1
	if longer+closed+deleted > 0 {
		e.dials.Add(1) // what others know now
		e.log.Warn("Redis lost acknowledged changes to logs", "longer", longer, "closed", closed, "deleted", deleted)
	}
	return nil
}

// What reconcile.lua answers for a stream, where it did something.
const (
	reconciledLonger  = 2
	reconciledClosed  = 3
	reconciledDeleted = 4
	reconciledBury    = 5
)

// saw notes that this node saw a stream get as far as next, or is about to say
// so.
func (b *bucket) saw(name, gen string, next int64) {
	if next <= 1 {
		return // there is nothing to lose
	}
	b.e.marks.set(mark{bucket: b.index, name: name, gen: gen, next: next, beat: b.beats.sent.Load()})
}

// sawEnd notes that this node has closed or deleted a stream.
func (b *bucket) sawEnd(m mark) {
	m.bucket, m.beat = b.index, b.beats.sent.Load()
	b.e.marks.set(m)
}

// keepMarks lets marks survive a power failure, until the engine stops.
func (e *Engine) keepMarks() {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-e.running.Done():
			return
		case <-tick.C:
			e.marks.sync()
		}
	}
}
