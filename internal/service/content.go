package service

import (
	"context"
	"errors"
	"io"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// Content is a finished log, opened by Service.Blob, for one goroutine.
// Close it.
type Content struct {
	// Size is the size of the log in bytes as Range gives it (JSON lines, or
	// a client's own bytes); -1 where unknown: then only read it from 0.
	Size     int64
	Modified time.Time // zero where unknown
	// Encoding is how the log is stored, gzip or zstd; empty: as Range gives
	// it. See Stored.
	Encoding   string
	Archive    bool  // this service archived the log
	Lines      int64 // zero where unknown
	Incomplete bool  // the log's writer went silent

	blob    logs.Blob       // of the store, or nil
	archive *archive.Reader // over blob, or nil
	begun   io.ReadCloser   // blob from its first byte, which was looked at; or nil
	streams logs.Streams    // of a closed stream, or nil
	id      logservice.ID
}

// stored is the size of the log in bytes as stored.
func (c *Content) stored() int64 { return c.blob.Info().Size }

// State is what logservice.HeaderState says of the log.
func (c *Content) State() string {
	if c.Incomplete {
		return logservice.StateIncomplete
	}
	return logservice.StateArchived
}

// Range reads length bytes of the log from offset, or fewer where it ends; a
// negative length reads to the end. Damage is an error of the reader, or of
// Range, and never wrong data. It is cheap at any offset where Size is known.
// Close the reader before the Content; ctx must outlive the reader.
func (c *Content) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	var whole io.ReadCloser
	var err error
	switch {
	case c.archive != nil:
		return c.archive.Content(ctx, offset, length), nil
	case c.blob != nil && c.Encoding == "":
		return c.rangeOf(ctx, offset, length)
	case c.blob != nil:
		whole, err = c.unpacked(ctx)
	default:
		var cursor logs.Cursor
		if cursor, err = c.streams.Follow(ctx, c.id, 0); err == nil {
			whole = &cursorReader{ctx: ctx, c: cursor}
		}
	}
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, whole, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, whole.Close())
	}
	if length < 0 {
		return whole, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(whole, length), whole}, nil
}

// Stored reads the log as it is stored, in the Encoding; size is in bytes.
// ErrUnsupported where it has none.
func (c *Content) Stored(ctx context.Context) (r io.ReadCloser, size int64, err error) {
	if c.Encoding == "" {
		return nil, 0, logservice.ErrUnsupported
	}
	r, err = c.rangeOf(ctx, 0, -1)
	return r, c.stored(), err
}

// Close lets the content go.
func (c *Content) Close() error {
	if c.blob == nil {
		return nil
	}
	if c.begun != nil {
		_ = c.begun.Close() // read only: nothing can be lost
	}
	return c.blob.Close()
}

// cursorReader reads the lines of a closed stream.
type cursorReader struct {
	ctx     context.Context
	c       logs.Cursor
	batches []*logs.Batch
	rest    []byte // of the batch before them
}

func (r *cursorReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if len(r.batches) == 0 {
			var err error
			if r.batches, err = r.c.Next(r.ctx); err != nil {
				return 0, err
			}
			if len(r.batches) == 0 {
				return 0, errNotClosed
			}
		}
		r.rest, r.batches = r.batches[0].Data, r.batches[1:]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *cursorReader) Close() error {
	r.c.Close()
	return nil
}
