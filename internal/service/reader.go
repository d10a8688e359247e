package service

import (
	"bytes"
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// maxReading bounds the readers that have unshared lines in memory at the same
// time: lines of live logs read back from disk, and of stored logs. Each takes
// up to about 1 MiB, encoded forms included. A reader holds a slot while it
// works, never while it waits for its peer.
const (
	maxReading       = 32
	maxReadingStored = 16
)

// reader follows logs of every age.
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

// From is where and how a reader of a log begins.
type From struct {
	logservice.Position // attempt 0 is the newest that has lines
	// Only ends the reader after that attempt. Otherwise it continues in the
	// later attempts, each announced by a line (logs.Batch.Begins).
	Only bool
	// Existing ends the reader after the lines that exist now.
	Existing bool
}

// Follow returns a cursor over the log of id, whatever its age, and where it
// reads: from the live stream (logservice.StateLive; a closed one that is not
// archived yet counts), or from what is stored (logservice.StateArchived,
// StateIncomplete), whose cursor is always ready and ends in io.EOF. Sequences
// are the same in both. The lines of a blob that a client uploaded count from
// 1; those that are not JSON objects are returned as a line with that text.
//
// A position in an attempt that does not exist is the start of the one after
// it, or of the newest. ErrStreamNotFound: there is no such log, or with
// from.Only no such attempt.
//
// The cursor is used by one goroutine, while ctx lives, and must be closed.
func (r *reader) Follow(ctx context.Context, id logservice.ID, from From) (c logs.Reader, state string, err error) {
	leave, err := r.quota.mayFollow(id.Account)
	if err != nil {
		return nil, logservice.StateUnknown, err
	}
	b, err := r.begin(ctx, id, from)
	if err != nil {
		leave()
		return nil, logservice.StateUnknown, err
	}
	r.metrics.readers.Inc()
	after := from.Sequence
	if from.Attempt != 0 && b.Attempt() != from.Attempt {
		after = 0
	}
	return &cursor{
		Reader: b.Reader, reader: r, id: id, only: from.Only, existing: from.Existing, later: b.later,
		slots: r.slotsOf(b.Reader), leave: leave, after: after, counted: after, lagging: true,
	}, b.state(), nil
}

// FirstLine is the first line of the log of id, live or archived, without its
// line break. ErrStreamNotFound: there is no such log, or it has no line yet.
func (r *reader) FirstLine(ctx context.Context, id logservice.ID) ([]byte, error) {
	c, err := r.begin(ctx, id, From{})
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

// beginning is where a reader begins: in a live stream, or in what is stored.
type beginning struct {
	logs.Reader
	later []int64 // stored attempts after that one
}

func (b *beginning) state() string {
	if stored, ok := b.Reader.(*storedCursor); ok {
		return stored.content.State()
	}
	return logservice.StateLive
}

// begin finds the beginning of a reader.
func (r *reader) begin(ctx context.Context, id logservice.ID, from From) (b *beginning, err error) {
	// Between the two checks a live log may become a stored one; the second
	// round finds what the first one missed.
	for range 2 {
		live, err := r.stream(ctx, id, from.Sequence)
		if err != nil {
			return nil, err
		}
		b, err = r.beginAt(ctx, id, from, live)
		if live != nil && (err != nil || b.Reader != live) {
			live.Close()
		}
		if !errors.Is(err, logservice.ErrBlobNotFound) && !errors.Is(err, logservice.ErrStreamNotFound) {
			return b, err
		}
	}
	return nil, logservice.ErrStreamNotFound
}

// stream returns a cursor of the stream of id, or nil.
func (r *reader) stream(ctx context.Context, id logservice.ID, after int64) (logs.Reader, error) {
	c, err := r.streams.Follow(ctx, id, after)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.(logs.Reader), nil // as every engine's cursor is
}

// beginAt is begin; live is the stream of the log, or nil.
func (r *reader) beginAt(ctx context.Context, id logservice.ID, from From, live logs.Reader) (*beginning, error) {
	attempt, after := from.Attempt, from.Sequence
	newest := int64(0)
	if live != nil {
		newest = live.Attempt()
		if newest == 1 && live.First() == 1 { // nothing of it is stored
			return r.beginLive(live, from)
		}
	}
	stored, err := r.stored.store.Attempts(ctx, id)
	if err != nil {
		return nil, err
	}
	if n := len(stored); n > 0 {
		newest = max(newest, stored[n-1].Attempt)
	}
	switch {
	case from.Only && attempt > newest:
		return nil, logservice.ErrStreamNotFound
	case attempt > newest:
		attempt, after = 0, 0
	}
	if attempt == 0 {
		attempt = newest
		if live != nil && len(stored) > 0 && !from.Only && r.isEmpty(ctx, id) {
			attempt = stored[len(stored)-1].Attempt
		}
	}
	for i := range stored {
		n := stored[i].Attempt
		switch {
		case n < attempt, n > attempt && from.Only, live != nil && n == live.Attempt() && after >= live.First()-1:
			continue
		case n > attempt && live != nil && live.Attempt() == attempt:
			continue
		case n > attempt:
			after = 0
		}
		b := &beginning{}
		for _, later := range stored[i+1:] {
			if !from.Only {
				b.later = append(b.later, later.Attempt)
			}
		}
		c, err := r.stored.follow(ctx, id, n, after)
		b.Reader = c
		return b, err
	}
	if live == nil || from.Only && live.Attempt() != attempt {
		return nil, logservice.ErrStreamNotFound
	}
	if from.Attempt != 0 && live.Attempt() != from.Attempt {
		live.Rewind(0)
	}
	return &beginning{Reader: live}, nil
}

// beginLive is begin in the only attempt.
func (r *reader) beginLive(live logs.Reader, from From) (*beginning, error) {
	switch {
	case from.Attempt <= 1:
	case from.Only:
		return nil, logservice.ErrStreamNotFound
	default:
		live.Rewind(0)
	}
	return &beginning{Reader: live}, nil
}

// isEmpty reports whether the stream of id has no lines of its own.
func (r *reader) isEmpty(ctx context.Context, id logservice.ID) bool {
	info, err := r.streams.Stat(ctx, id)
	return err == nil && info.Empty()
}

// slotsOf returns the slots for cursors of c's kind.
func (r *reader) slotsOf(c logs.Reader) chan struct{} {
	if _, ok := c.(*storedCursor); ok {
		return r.old
	}
	return r.live
}
