package service

import (
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// cursor is a Reader that is counted, holds a slot while it needs memory of its
// own, continues in the archive when its stream is deleted, and in the next
// attempt of the log when one has ended.
type cursor struct {
	logs.Reader
	reader   *reader
	id       logservice.ID
	only     bool    // it does not continue in the next attempt
	existing bool    // it ends after the lines that exist now
	later    []int64 // stored attempts to continue in
	begins   bool    // the next lines are of another attempt
	slots    chan struct{}
	leave    func()
	after    int64 // the last line that Next returned
	counted  int64 // the last line that the metrics have
	lagging  bool  // more lines were available: they may have to be read from disk
	holding  bool  // it holds a slot
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
		switch {
		case errors.As(err, &gone):
			return c.goOn(ctx, gone)
		case errors.Is(err, io.EOF):
			if more, err := c.advance(ctx); more || err != nil {
				if err != nil {
					return nil, err
				}
				return c.Next(ctx)
			}
		}
	}
	if len(batches) > 0 && c.begins {
		c.begins = false
		c.Reader.Rewind(batches[0].First - 1)
		return []*logs.Batch{logs.NewBeginning(c.Attempt())}, nil
	}
	if c.existing && err == nil && len(batches) == 0 {
		c.release()
		return nil, io.EOF
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

// release releases the slot.
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

// advance continues in the part of the log after the one that has ended: the
// live stream that continues what is stored of its attempt, or the next
// attempt.
func (c *cursor) advance(ctx context.Context) (more bool, err error) {
	attempt := c.Attempt()
	old, stored := c.Reader.(*storedCursor)
	if !stored && c.after < c.First() { // it had no lines: what is stored was uploaded
		next, err := c.reader.stored.follow(ctx, c.id, attempt, c.after)
		if err == nil {
			c.replace(next)
		}
		if !errors.Is(err, logservice.ErrBlobNotFound) {
			return err == nil, err
		}
	}
	if len(c.later) > 0 {
		next, err := c.reader.stored.follow(ctx, c.id, c.later[0], 0)
		if err != nil && !errors.Is(err, logservice.ErrBlobNotFound) {
			return false, err
		}
		c.later = c.later[1:]
		if err != nil {
			return true, nil // deleted since: the one after it
		}
		c.begin(next)
		return true, nil
	}
	live, err := c.reader.stream(ctx, c.id, 0)
	switch {
	case err != nil:
		return false, err
	case live == nil:
		return c.archivedSince(ctx, old)
	case live.Attempt() == attempt && old != nil && live.First() > 1:
		live.Rewind(c.after)
		c.replace(live)
		return true, nil
	case live.Attempt() > attempt && !c.only:
		c.begin(live)
		return true, nil
	}
	live.Close()
	return false, nil
}

// archivedSince continues in what was added to an incomplete attempt while it
// was read.
func (c *cursor) archivedSince(ctx context.Context, old *storedCursor) (more bool, err error) {
	if old == nil || !old.content.Incomplete {
		return false, nil
	}
	now, err := c.reader.stored.follow(ctx, c.id, old.Attempt(), c.after)
	switch {
	case errors.Is(err, logservice.ErrBlobNotFound):
		return false, nil
	case err != nil:
		return false, err
	case now.content.Modified.Equal(old.content.Modified):
		now.Close()
		return false, nil
	}
	c.replace(now)
	return true, nil
}

// begin continues in another attempt.
func (c *cursor) begin(next logs.Reader) {
	c.replace(next)
	c.after, c.counted, c.begins = 0, 0, true
}

// goOn continues in the archive of a stream that the engine has released. What
// is missing there is a gap.
func (c *cursor) goOn(ctx context.Context, gone *logs.ReleasedError) ([]*logs.Batch, error) {
	if gone.Archived != nil {
		stored, err := c.reader.stored.follow(ctx, gone.Archived.ID, gone.Archived.Attempt, c.after)
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
	c.replace(ended{attempt: c.Attempt()})
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
	if c.existing {
		ready = always // at the end of what exists is the end
	}
	select {
	case <-ready:
		c.lagging = true
	default:
		c.lagging = false
	}
	return ready
}

// Rewind implements logs.Reader. Before the line 0 of an attempt is its
// announcement.
func (c *cursor) Rewind(after int64) {
	if after < 0 {
		c.begins, after = true, 0
	}
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

// ended is a cursor after the last line of a log that was deleted.
type ended struct{ attempt int64 }

func (e ended) Attempt() int64 { return e.attempt }

func (ended) First() int64 { return 1 }

func (ended) Next(context.Context) ([]*logs.Batch, error) { return nil, io.EOF }

func (ended) Ready() <-chan struct{} { return always }

func (ended) Rewind(int64) {}

func (ended) Close() {}
