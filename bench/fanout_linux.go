package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// fanOut describes one writer of e.n lines and many readers of one log.
type fanOut struct {
	readers int
	batch   int           // lines
	every   time.Duration // between two batches; 0: as fast as acknowledged
}

func (f fanOut) measure(ctx context.Context, e *env) (report.Metrics, error) {
	const key = "fanout/log"
	total := int64(e.n)
	if err := e.t.Open(ctx, key); err != nil {
		return nil, err
	}
	crowd, err := newCrowd(e.t, key, f.readers)
	if err != nil {
		return nil, err
	}
	defer crowd.p.Close()
	crowd.expect(total, int64(f.batch))
	if err := crowd.until(ctx, "the first ping", func() bool { return crowd.greeted() }); err != nil {
		return nil, err
	}
	begin, err := e.mark()
	if err != nil {
		return nil, err
	}
	took, puts, err := f.deliver(ctx, e.t, key, total, crowd)
	used, err2 := e.since(begin)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	m := report.Metrics{
		"deliveries_per_s":  float64(total) * float64(f.readers) / used.wall.Seconds(),
		"written_per_s":     float64(total) / took.Seconds(),
		"delivered_share":   float64(crowd.frames()) / (float64(total) * float64(f.readers)),
		"bytes_per_s":       float64(crowd.bytes()) / used.wall.Seconds(),
		"reads_per_frame":   float64(crowd.reads) / float64(crowd.frames()),
		"behind_the_end_ms": report.Milliseconds(used.wall - took),
	}
	used.into(m, "deliveries", float64(total)*float64(f.readers))
	m.Latency("", crowd.delays)
	m.Latency("put_", puts)
	if err := e.t.Drop(ctx, key); err != nil {
		return nil, err
	}
	return m, crowd.until(ctx, "the end", func() bool { return crowd.ended == f.readers })
}

// deliver writes while crowd reads, until all readers have all lines. It returns
// how long the writer took, and its calls.
func (f fanOut) deliver(ctx context.Context, t *load.Target, key string, total int64, crowd *crowd) (took time.Duration, puts *load.Histogram, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	puts = new(load.Histogram)
	written := make(chan struct{})
	// The writer ends with its last line or with ctx, and is waited for below.
	go func() {
		defer close(written)
		begin := time.Now()
		if err := f.write(ctx, t, key, total, puts); err != nil {
			cancel(err)
		}
		took = time.Since(begin)
	}()
	err = crowd.until(ctx, fmt.Sprintf("line %d", total), func() bool { return crowd.wanted == f.readers })
	if err != nil {
		cancel(err)
	}
	<-written
	return took, puts, err
}

// write sends total lines. A batch that comes late does not make the next one
// late.
func (f fanOut) write(ctx context.Context, t *load.Target, key string, total int64, puts *load.Histogram) error {
	c, err := load.Dial(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close()
	b := load.NewBatch(load.NewBuildLog(load.TextSeed), t.Host(), key, f.batch, true)
	begin := time.Now()
	for k := int64(0); k*int64(f.batch) < total; k++ {
		if wait := time.Until(begin.Add(time.Duration(k) * f.every)); f.every > 0 && wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		b.Number(k)
		sent := time.Now()
		b.Stamp(sent.UnixNano())
		if err := c.Send(b.Request); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		puts.Add(time.Since(sent))
	}
	return nil
}

// crowd is many readers of one log, driven by one goroutine.
type crowd struct {
	p      *load.Poller
	tails  []*load.Tail
	delays *load.Histogram
	now    time.Time // of the last read
	reads  int64
	wanted int // tails that have received what they wanted
	ended  int // tails that reached the end of the log
}

// newCrowd connects n readers of key from its first line on.
func newCrowd(t *load.Target, key string, n int) (*crowd, error) {
	p, err := load.NewPoller()
	if err != nil {
		return nil, err
	}
	c := &crowd{p: p, delays: new(load.Histogram)}
	get := load.Request("GET", load.StreamPath(key), t.Host())
	for range n {
		if err := c.join(t, get); err != nil {
			p.Close()
			return nil, err
		}
	}
	return c, nil
}

func (c *crowd) join(t *load.Target, get []byte) error {
	tl := &load.Tail{OnWant: func() { c.wanted++ }}
	tl.OnStamp = func(sent int64) { c.delays.Add(time.Duration(c.now.UnixNano() - sent)) }
	a := &load.Answer{OnBody: tl.Feed}
	finish := func() error {
		if !tl.EOF || a.Status != 200 {
			return fmt.Errorf("a tail ended early with status %d after line %d", a.Status, tl.Last)
		}
		return nil
	}
	s := &load.Sock{Ended: finish}
	s.Data = func(b []byte) error {
		c.now = time.Now()
		c.reads++
		was := tl.EOF
		err := a.Feed(b)
		if tl.EOF && !was {
			c.ended++
		}
		if err == nil && a.Done() {
			err = finish()
		}
		return err
	}
	if err := c.p.Dial(t.Addr, s); err != nil {
		return err
	}
	c.tails = append(c.tails, tl)
	return c.p.Send(s, get)
}

// expect sets which line completes the tails, and which lines carry stamps.
func (c *crowd) expect(last, every int64) {
	for _, tl := range c.tails {
		tl.Want, tl.Every = last, every
	}
}

func (c *crowd) greeted() bool {
	for _, tl := range c.tails {
		if tl.Pings == 0 {
			return false
		}
	}
	return true
}

func (c *crowd) frames() (n int64) {
	for _, tl := range c.tails {
		n += tl.Frames
	}
	return n
}

func (c *crowd) bytes() (n int64) {
	for _, tl := range c.tails {
		n += tl.Bytes
	}
	return n
}

// until reads until done returns true or ctx ends.
func (c *crowd) until(ctx context.Context, what string, done func() bool) error {
	for !done() {
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
		if err := c.p.Wait(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
