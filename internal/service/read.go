package service

import (
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// maxReading bounds the readers that at one moment have lines in memory which
// no others share: of live logs read back from disk, and of stored logs. Each
// takes up to about 1 MiB, encoded forms included. A reader takes its turn for
// as long as it works, never while it waits for its peer.
const (
	maxReading       = 32
	maxReadingStored = 16
)

// Follow returns a cursor after the line after (0: at the start) of the log
// of id, whatever its age, and where the cursor reads: from the live stream
// (logservice.StateLive; a closed one that is not archived yet counts), or
// from what is stored (logservice.StateArchived, StateIncomplete), whose
// cursor is always ready and ends in io.EOF. Sequences are the same in both.
// The lines of a blob that a client uploaded count from 1; those that are no
// JSON object come as a line with that text. ErrStreamNotFound: neither exists.
//
// The cursor is used by one goroutine, while ctx lives, and must be closed.
func (s *Service) Follow(ctx context.Context, id logservice.ID, after int64) (r logs.Reader, state string, err error) {
	leave, err := s.quota.mayFollow(id.Account)
	if err != nil {
		return nil, logservice.StateUnknown, err
	}
	c, state, err := s.follow(ctx, id, after)
	if err != nil {
		leave()
		return nil, state, err
	}
	s.metrics.readers.Inc()
	return &reader{Reader: c, s: s, turns: s.turnsOf(c), leave: leave, after: after, counted: after, behind: true}, state, nil
}

func (s *Service) follow(ctx context.Context, id logservice.ID, after int64) (c logs.Reader, state string, err error) {
	// Between the two looks a live log may become a stored one; the second
	// round finds what the first one missed.
	for range 2 {
		c, err := s.streams.Follow(ctx, id, after)
		if err == nil {
			return c.(logs.Reader), logservice.StateLive, nil // as every engine's cursor is
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

// reader is a cursor that is counted, takes turns where it needs memory of its
// own, and goes on in the archive when its stream is gone.
type reader struct {
	logs.Reader
	s       *Service
	turns   chan struct{}
	leave   func()
	after   int64 // the last line that Next returned
	counted int64 // the last line that the metrics have
	behind  bool  // there was more at once: it may have to be read from disk
	mine    bool  // it has its turn
}

// turnsOf are the turns of those that read what c does.
func (s *Service) turnsOf(c logs.Reader) chan struct{} {
	if _, ok := c.(*storedCursor); ok {
		return s.readingStored
	}
	return s.reading
}

// Next implements Cursor.
func (r *reader) Next(ctx context.Context) ([]*logs.Batch, error) {
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	batches, err := r.Reader.Next(ctx)
	if err != nil {
		r.release()
		var gone *logs.ReleasedError
		if errors.As(err, &gone) {
			return r.goOn(ctx, gone)
		}
	}
	r.count(batches)
	return batches, err
}

// count counts what Next returned; lines that are read again count once.
func (r *reader) count(batches []*logs.Batch) {
	if len(batches) == 0 {
		return
	}
	lines, size := 0.0, 0.0
	for _, b := range batches {
		if n := b.Last() - max(b.First-1, r.counted); n > 0 {
			lines += float64(n)
			size += float64(len(b.Data)) * float64(n) / float64(b.Count)
		}
	}
	r.after = batches[len(batches)-1].Last()
	r.counted = max(r.counted, r.after)
	if lines > 0 {
		r.s.metrics.sentLines.Add(lines)
		r.s.metrics.sentBytes.Add(size)
	}
}

// take waits for the reader's turn, if it needs one.
func (r *reader) take(ctx context.Context) error {
	if r.mine || !r.behind {
		return nil
	}
	select {
	case r.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mine = true
	return nil
}

func (r *reader) release() {
	if r.mine {
		r.mine = false
		<-r.turns
	}
}

// goOn continues in the archive of a stream that the engine has released. What
// is not there is shown as a gap.
func (r *reader) goOn(ctx context.Context, gone *logs.ReleasedError) ([]*logs.Batch, error) {
	if gone.Archived != nil {
		stored, err := r.s.followStored(ctx, gone.Archived.ID, r.after)
		switch {
		case err == nil && stored.content.archive != nil && stored.content.archive.Summary() == gone.Archived.Summary:
			r.replace(stored)
			return r.Next(ctx)
		case err == nil && stored.content.Archive && stored.content.archive == nil: // it has lost its index
			stored.Close()
			return nil, gone
		case err == nil: // of another attempt, or uploaded since
			stored.Close()
		case !errors.Is(err, logservice.ErrBlobNotFound):
			return nil, err
		}
	}
	lost := logs.NewGap(r.after+1, gone.Next-r.after-1)
	r.replace(ended{})
	r.after = lost.Last()
	return []*logs.Batch{lost}, nil
}

func (r *reader) replace(c logs.Reader) {
	r.Reader.Close()
	r.Reader, r.turns, r.behind = c, r.s.turnsOf(c), true
}

// Ready implements Cursor.
func (r *reader) Ready() <-chan struct{} {
	r.release()
	ready := r.Reader.Ready()
	select {
	case <-ready:
		r.behind = true
	default:
		r.behind = false
	}
	return ready
}

// Rewind implements logs.Reader.
func (r *reader) Rewind(after int64) {
	r.Reader.Rewind(after)
	r.after = min(r.after, after)
	r.release()
	r.behind = true
}

// Close implements Cursor.
func (r *reader) Close() {
	r.release()
	r.s.metrics.readers.Dec()
	r.leave()
	r.Reader.Close()
}

// ended is a cursor after the last line of a log that is gone.
type ended struct{}

func (ended) Next(context.Context) ([]*logs.Batch, error) { return nil, io.EOF }
func (ended) Ready() <-chan struct{}                      { return always }
func (ended) Rewind(int64)                                {}
func (ended) Close()                                      {}
