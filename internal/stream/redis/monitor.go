package redis

import (
	"context"
	"time"
)

// maxReconcile is how many streams one script reconciles: some milliseconds.
const maxReconcile = 100

// monitor detects whether Redis has lost changes of a bucket: it was flushed,
// or it restarted or was replaced with older data. Redis answers each heartbeat
// with the number of the previous one, and so proves that it has everything
// that was written before that was sent.
type monitor struct {
	*keyspace
	lost func() // called when Redis has lost something

	acked int64 // the last heartbeat that Redis answered
	dials int64 // of this node at that time
	// doubt is the heartbeat from which on marks must be compared with Redis;
	// negative: none.
	doubt int64
}

// start reports to Redis what this node knows of the bucket from its last run,
// before it serves requests.
func (m *monitor) start(ctx context.Context) error {
	if err := m.heartbeat(ctx); err != nil {
		return err
	}
	m.doubt = 0
	return m.reconcile(ctx)
}

// observe sends a heartbeat and reconciles what Redis has lost, in the
// background.
func (m *monitor) observe(ctx context.Context) {
	err := m.heartbeat(ctx)
	if err == nil {
		err = m.reconcile(ctx)
	}
	if err != nil && ctx.Err() == nil {
		m.log.Debug("no heartbeat in a bucket", "error", err)
	}
}

// heartbeat sends a heartbeat, and records from which one on Redis may lack
// changes.
func (m *monitor) heartbeat(ctx context.Context) error {
	dials := m.redis.dials.Load()
	n := m.beat.Add(1)
	a, err := m.call(ctx, m.redis.scripts.beat, "", m.members.now(), m.id(), itoa(n), m.policy.mayInfo(), m.policy.evicted())
	if err != nil {
		return err
	}
	before := a.int(0)
	lost := before < m.acked
	if lost || dials != m.dials { // a connection is also made after a restart that lost no heartbeat
		if m.doubt < 0 || before < m.doubt {
			m.doubt = before
		}
	}
	m.acked, m.dials = n, dials
	m.policy.observe(time.Duration(a.int(1)) * time.Millisecond)
	if lost {
		m.log.Warn("Redis has lost recent writes: it was flushed, or it restarted or was replaced with older data")
		m.redis.dials.Add(1) // appends read the tails of their streams again
		m.lost()
	}
	return nil
}

// reconcile compares the marks in doubt with Redis, and applies what Redis
// lacks.
func (m *monitor) reconcile(ctx context.Context) error {
	if m.doubt < 0 {
		return nil
	}
	var longer, closed, deleted int
	for all := m.marks.since(m.index, m.doubt); len(all) > 0; {
		page := all[:min(len(all), maxReconcile)]
		all = all[len(page):]
		args := []string{"", m.members.now()}
		for _, x := range page {
			args = append(args, x.name, x.gen, itoa(int64(x.state)), encodeHow(x.how), itoa(x.next))
		}
		a, err := m.call(ctx, m.redis.scripts.reconcile, args...)
		if err != nil {
			return err
		}
		for i, x := range page {
			switch a.int(i) {
			case reconciledLonger:
				longer++
			case reconciledClosed:
				closed++
			case reconciledReap:
				m.handle(x.name, x.gen).reap()
				deleted++
			case reconciledDeleted:
				deleted++
			}
		}
	}
	m.doubt = -1
	if longer+closed+deleted > 0 {
		m.redis.dials.Add(1) // for what others know
		m.log.Warn("Redis lost acknowledged changes to logs", "longer", longer, "closed", closed, "deleted", deleted)
	}
	return nil
}

// Results of reconcile.lua for a stream that it changed.
const (
	reconciledLonger  = 2
	reconciledClosed  = 3
	reconciledDeleted = 4
	reconciledReap    = 5
)
