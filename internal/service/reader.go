package service

import (
	"bytes"
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// maxReading bounds the readers that at one moment have lines in memory which
// no others share: of live logs read back from disk, and of stored logs. Each
// takes up to about 1 MiB, encoded forms included. A reader holds a slot for
// as long as it works, never while it waits for its peer.
const (
	maxReading       = 32
	maxReadingStored = 16
)

// reader follows logs, whatever their age.
type reader struct {
	streams logs.Streams
	stored  *storedLogs
	quota   *quota
	metrics *metrics

	live, old chan struct{} // one for each cursor at work, see maxReading
}

func newReader(c Config, stored *storedLogs, q *quota, m *metrics) *reader {
	return &reader{
		streams: c.Streams, stored: stored, quota: q, metrics: m,
		live: make(chan struct{}, maxReading), old: make(chan struct{}, maxReadingStored),
	}
}

// Follow returns a cursor after the line after (0: at the start) of the log
// of id, whatever its age, and where the cursor reads: from the live stream
// (logservice.StateLive; a closed one that is not archived yet counts), or
// from what is stored (logservice.StateArchived, StateIncomplete), whose
// cursor is always ready and ends in io.EOF. Sequences are the same in both.
// The lines of a blob that a client uploaded count from 1; those that are no
// JSON object come as a line with that text. ErrStreamNotFound: neither exists.
//
// The cursor is used by one goroutine, while ctx lives, and must be closed.
func (r *reader) Follow(ctx context.Context, id logservice.ID, after int64) (c logs.Reader, state string, err error) {
	leave, err := r.quota.mayFollow(id.Account)
	if err != nil {
		return nil, logservice.StateUnknown, err
	}
	c, state, err = r.follow(ctx, id, after)
	if err != nil {
		leave()
		return nil, state, err
	}
	r.metrics.readers.Inc()
	return &cursor{Reader: c, reader: r, slots: r.slotsOf(c), leave: leave, after: after, counted: after, lagging: true}, state, nil
}

// FirstLine is the first line of the log of id, live or archived, without its
// line break. ErrStreamNotFound: there is no such log, or it has no line yet.
func (r *reader) FirstLine(ctx context.Context, id logservice.ID) ([]byte, error) {
	c, _, err := r.follow(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	batches, err := c.Next(ctx)
	if len(batches) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = logservice.ErrStreamNotFound
		}
		return nil, err
	}
	line, _, _ := bytes.Cut(batches[0].Data, []byte("\n"))
	return line, nil
}

func (r *reader) follow(ctx context.Context, id logservice.ID, after int64) (c logs.Reader, state string, err error) {
	// Between the two steps a live log may become a stored one; the second
	// round finds what the first one missed.
	for range 2 {
		c, err := r.streams.Follow(ctx, id, after)
		if err == nil {
			return c.(logs.Reader), logservice.StateLive, nil // as every engine's cursor is
		}
		if !errors.Is(err, logservice.ErrStreamNotFound) {
			return nil, logservice.StateUnknown, err
		}
		stored, err := r.stored.follow(ctx, id, after)
		if err == nil {
			return stored, stored.content.State(), nil
		}
		if !errors.Is(err, logservice.ErrBlobNotFound) {
			return nil, logservice.StateUnknown, err
		}
	}
	return nil, logservice.StateUnknown, logservice.ErrStreamNotFound
}

// slotsOf are the slots for what reads as c does.
func (r *reader) slotsOf(c logs.Reader) chan struct{} {
	if _, ok := c.(*storedCursor); ok {
		return r.old
	}
	return r.live
}
