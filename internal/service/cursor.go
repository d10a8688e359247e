package service

import (
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// cursor is a Reader that is counted, holds a slot where it needs memory of
// its own, and goes on in the archive when its stream is gone.
type cursor struct {
	logs.Reader
	reader  *reader
	slots   chan struct{}
	leave   func()
	after   int64 // the last line that Next returned
	counted int64 // the last line that the metrics have
	lagging bool  // there was more at once: it may have to be read from disk
	holding bool  // it holds a slot
}

// Next implements Cursor.
func (c *cursor) Next(ctx context.Context) ([]*logs.Batch, error) {
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	batches, err := c.Reader.Next(ctx)
	if err != nil {
		c.release()
		var gone *logs.ReleasedError
		if errors.As(err, &gone) {
			return c.goOn(ctx, gone)
		}
	}
	c.count(batches)
	return batches, err
}

// take waits for a slot, if the cursor needs one.
func (c *cursor) take(ctx context.Context) error {
	if c.holding || !c.lagging {
		return nil
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.holding = true
	return nil
}

// release gives the slot back.
func (c *cursor) release() {
	if c.holding {
		c.holding = false
		<-c.slots
	}
}

// count counts what Next returned; lines that are read again count once.
func (c *cursor) count(batches []*logs.Batch) {
	if len(batches) == 0 {
		return
	}
	lines, size := 0.0, 0.0
	for _, b := range batches {
		if n := b.Last() - max(b.First-1, c.counted); n > 0 {
			lines += float64(n)
			size += float64(len(b.Data)) * float64(n) / float64(b.Count)
		}
	}
	c.after = batches[len(batches)-1].Last()
	c.counted = max(c.counted, c.after)
	if lines > 0 {
		c.reader.metrics.sentLines.Add(lines)
		c.reader.metrics.sentBytes.Add(size)
	}
}

// goOn continues in the archive of a stream that the engine has released. What
// is not there is shown as a gap.
func (c *cursor) goOn(ctx context.Context, gone *logs.ReleasedError) ([]*logs.Batch, error) {
	if gone.Archived != nil {
		stored, err := c.reader.stored.follow(ctx, gone.Archived.ID, c.after)
		switch {
		case err == nil && stored.content.archive != nil && stored.content.archive.Summary() == gone.Archived.Summary:
			c.replace(stored)
			return c.Next(ctx)
		case err == nil && stored.content.Archive && stored.content.archive == nil: // it has lost its index
			stored.Close()
			return nil, gone
		case err == nil: // of another attempt, or uploaded since
			stored.Close()
		case !errors.Is(err, logservice.ErrBlobNotFound):
			return nil, err
		}
	}
	lost := logs.NewGap(c.after+1, gone.Next-c.after-1)
	c.replace(ended{})
	c.after = lost.Last()
	return []*logs.Batch{lost}, nil
}

func (c *cursor) replace(by logs.Reader) {
	c.Reader.Close()
	c.Reader, c.slots, c.lagging = by, c.reader.slotsOf(by), true
}

// Ready implements Cursor.
func (c *cursor) Ready() <-chan struct{} {
	c.release()
	ready := c.Reader.Ready()
	select {
	case <-ready:
		c.lagging = true
	default:
		c.lagging = false
	}
	return ready
}

// Rewind implements logs.Reader.
func (c *cursor) Rewind(after int64) {
	c.Reader.Rewind(after)
	c.after = min(c.after, after)
	c.release()
	c.lagging = true
}

// Close implements Cursor.
func (c *cursor) Close() {
	c.release()
	c.reader.metrics.readers.Dec()
	c.leave()
	c.Reader.Close()
}

// ended is a cursor after the last line of a log that is gone.
type ended struct{}

func (ended) Next(context.Context) ([]*logs.Batch, error) { return nil, io.EOF }

func (ended) Ready() <-chan struct{} { return always }

func (ended) Rewind(int64) {}

func (ended) Close() {}
