package logs

import (
	"bytes"
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
)

// Follow returns a cursor behind the line after (0: at the start) of the log
// of id, whatever its age, and where the cursor reads: from the live stream
// (logservice.StateLive; a closed one that is not archived yet counts), or
// from what is stored (logservice.StateArchived, StateIncomplete), whose
// cursor is always ready and ends in io.EOF. Sequences are the same in both.
// The lines of a blob that a client uploaded count from 1; those that are no
// JSON object come as a line with that text. ErrStreamNotFound: neither exists.
//
// The cursor is used by one goroutine, while ctx lives, and must be closed.
func (s *Service) Follow(ctx context.Context, id logservice.ID, after int64) (c Cursor, state string, err error) {
	leave, err := s.accounts.follow(id.Account)
	if err != nil {
		return nil, logservice.StateUnknown, s.refused(err)
	}
	if c, state, err = s.follow(ctx, id, after); err != nil {
		leave()
		return nil, state, err
	}
	s.metrics.readers.Inc()
	return &reader{c, &s.metrics, leave}, state, nil
}

func (s *Service) follow(ctx context.Context, id logservice.ID, after int64) (c Cursor, state string, err error) {
	// Between the two looks a live log may become a stored one; the second
	// round finds what the first one missed.
	for range 2 {
		c, err := s.streams.Follow(ctx, id, after)
		if err == nil {
			return c, logservice.StateLive, nil
		}
		if !errors.Is(err, logservice.ErrStreamNotFound) {
			return nil, logservice.StateUnknown, err
		}
		stored, err := s.followStored(ctx, id, after)
		if err == nil {
			return stored, stored.content.State(), nil
		}
		if !errors.Is(err, logservice.ErrBlobNotFound) {
			return nil, logservice.StateUnknown, err
		}
	}
	return nil, logservice.StateUnknown, logservice.ErrStreamNotFound
}

// reader is a cursor that is counted.
type reader struct {
	Cursor
	metrics *metrics
	leave   func()
}

// Next implements Cursor.
func (r *reader) Next(ctx context.Context) ([]*Batch, error) {
	batches, err := r.Cursor.Next(ctx)
	if len(batches) > 0 {
		lines, size := int64(0), 0
		for _, b := range batches {
			lines += b.Count
			size += len(b.Data)
		}
		r.metrics.sentLines.Add(float64(lines))
		r.metrics.sentBytes.Add(float64(size))
	}
	return batches, err
}

// Close implements Cursor.
func (r *reader) Close() {
	r.metrics.readers.Dec()
	r.leave()
	r.Cursor.Close()
}

func (s *Service) followStored(ctx context.Context, id logservice.ID, after int64) (*storedCursor, error) {
	content, err := s.openStored(ctx, id)
	if err != nil {
		return nil, err
	}
	c := &storedCursor{content: content, ready: make(chan struct{})}
	close(c.ready)
	if content.archive != nil {
		runs := content.archive.Runs(after)
		c.body, c.next = runs, runs.Next
		return c, nil
	}
	body, err := content.Range(ctx, 0, -1)
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	p := archive.NewPlain(body, content.Modified)
	c.body = body
	c.next = func(ctx context.Context) (archive.Run, error) { return behind(ctx, p, after) }
	return c, nil
}

// behind returns the next run of p that has lines behind after, these only.
func behind(ctx context.Context, p *archive.Plain, after int64) (archive.Run, error) {
	for {
		if err := ctx.Err(); err != nil {
			return archive.Run{}, err
		}
		r, err := p.Next()
		if err != nil || r.First > after {
			return r, err
		}
		skip := after + 1 - r.First
		if skip >= r.Count {
			continue
		}
		for range skip {
			r.Data = r.Data[bytes.IndexByte(r.Data, '\n')+1:]
		}
		r.First, r.Count = r.First+skip, r.Count-skip
		return r, nil
	}
}

// storedCursor is a Cursor over a blob.
type storedCursor struct {
	content *Content
	body    io.Closer // what is open of it
	ready   chan struct{}
	next    func(context.Context) (archive.Run, error)
}

// Next implements Cursor.
func (c *storedCursor) Next(ctx context.Context) ([]*Batch, error) {
	r, err := c.next(ctx)
	if err != nil {
		return nil, err
	}
	return []*Batch{{First: r.First, Count: r.Count, Data: r.Data, Gap: r.Gap}}, nil
}

// Ready implements Cursor: a stored log never lets anybody wait.
func (c *storedCursor) Ready() <-chan struct{} { return c.ready }

// Close implements Cursor.
func (c *storedCursor) Close() {
	_ = c.body.Close() // read only: nothing can be lost
	_ = c.content.Close()
}
