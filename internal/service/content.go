package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// Content is a finished log, opened by Service.Blob, for one goroutine.
// Close it.
type Content struct {
	Attempt int64
	// Size is the size of the log in bytes as Range gives it (JSON lines, or a
	// client's own bytes); -1 if unknown: then it can only be read from 0.
	Size     int64
	Modified time.Time // zero where unknown
	// Encoding is the encoding in which Stored returns the log, gzip or zstd;
	// empty: none.
	Encoding   string
	Archive    bool  // this service archived the log
	Lines      int64 // zero where unknown
	Incomplete bool  // the log's writer went silent

	hasStreamed bool
	unrelated   bool                                       // of an upload: its stream is another log
	blob        logs.Blob                                  // of the store, or nil
	archive     *archive.Reader                            // over blob, or nil
	begun       io.ReadCloser                              // blob from its first bytes, which were examined; or nil
	packed      string                                     // what blob is unpacked with, unless archive does
	upload      *Content                                   // of a closed stream, or nil
	open        func(context.Context) (logs.Cursor, error) // of a closed stream, or nil
	id          logservice.ID

	damage   error // found when it was opened: lines may be missing at the end
	reported bool
	log      *slog.Logger
}

// stored is the size of the log in bytes as stored.
func (c *Content) stored() int64 { return c.blob.Info().Size }

// streamed reports whether lines of the log were streamed: an upload does not
// replace them.
func (c *Content) streamed() bool {
	if c.archive != nil {
		return c.archive.Summary().Lines > 0
	}
	return c.Archive || c.hasStreamed
}

// next is the sequence after the last line of the log.
func (c *Content) next(ctx context.Context) (int64, error) {
	if c.archive != nil {
		return c.archive.Summary().Next, nil
	}
	cursor := c.cursorAfter(0)
	defer cursor.Close()
	for {
		_, err := cursor.Next(ctx)
		if errors.Is(err, io.EOF) {
			return cursor.after + 1, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// State is the value of logservice.HeaderState for the log.
func (c *Content) State() string {
	if c.Incomplete {
		return logservice.StateIncomplete
	}
	return logservice.StateArchived
}

// Range reads length bytes of the log from offset, or fewer if it ends earlier;
// a negative length reads to the end. Damage is an error of the reader, or of
// Range, and never wrong data. It is cheap at any offset if Size is known.
// Close the reader before the Content; ctx must outlive the reader.
func (c *Content) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	var whole io.ReadCloser
	var err error
	switch {
	case c.archive != nil:
		return c.archive.Content(ctx, offset, length), nil
	case c.blob != nil && c.packed == "":
		return c.rangeOf(ctx, offset, length)
	case c.blob != nil:
		whole, err = c.unpacked(ctx)
	case c.open == nil:
		return nil, c.damage
	default:
		var cursor logs.Cursor
		if cursor, err = c.open(ctx); err == nil {
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

// Readable is Range without damage: what cannot be read is replaced by a mark,
// the same line that readers of Follow get. In an archive the lines after it
// follow. A client's own bytes are never mixed with others, so their damage is
// an error. An error at the first byte is returned at once.
func (c *Content) Readable(ctx context.Context, offset, length int64) (*Readable, error) {
	r := &Readable{Size: c.Size}
	whole := offset == 0 && length < 0
	if !whole && c.Size >= 0 {
		r.Size = max(c.Size-offset, 0)
		if length >= 0 {
			r.Size = min(r.Size, length)
		}
	}
	var body io.ReadCloser
	var err error
	switch {
	case c.archive != nil:
		body = c.archive.Readable(ctx, offset, length, func(l archive.Lost) []byte { return r.fill(c, whole, l) })
	case c.Size < 0:
		if body, err = c.Range(ctx, 0, -1); isDamage(err) {
			body, err = failed{err}, nil
		}
		body = &marked{ReadCloser: body, content: c, damaged: r.lost}
	default:
		body, err = c.Range(ctx, offset, length)
	}
	if err != nil {
		return nil, err
	}
	first := make([]byte, 512)
	n, err := io.ReadAtLeast(body, first, 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, body.Close())
	}
	r.body, r.Reader = body, io.MultiReader(bytes.NewReader(first[:n]), body)
	if r.begun = true; r.damage != nil && whole {
		r.Size = -1
	}
	return r, nil
}

// Readable reads what can be read of a log. Close it.
type Readable struct {
	io.Reader
	// Size is in bytes; -1 where unknown.
	Size int64

	body   io.ReadCloser
	begun  bool // Size is settled
	damage error
}

// WriteTo avoids the buffer of io.Copy if the log supports it.
func (r *Readable) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, r.Reader) }

// Close closes the reader, not the Content.
func (r *Readable) Close() error { return r.body.Close() }

// Damage is the first damage that was replaced, or nil.
func (r *Readable) Damage() error { return r.damage }

func (r *Readable) lost(err error) {
	if r.damage == nil {
		r.damage = err
	}
}

// fill returns what replaces lines of an archive. Once the size is known it has
// as many bytes, so that all others keep their offsets.
func (r *Readable) fill(c *Content, whole bool, l archive.Lost) []byte {
	r.lost(l.Err)
	line := c.mark(l.First, l.Count, l.Err).Data
	if whole && (!r.begun || r.Size < 0) {
		return line
	}
	if len(line) > l.Bytes { // a short one, which is JSON, too
		line = fmt.Appendf(nil, `{"gap":{"first":%d,"last":%d,"damage":"frame"}}`+"\n", l.First, l.First+l.Count-1)
	}
	dst := bytes.Repeat([]byte{' '}, l.Bytes)
	dst[len(dst)-1] = '\n'
	if len(line) <= len(dst) {
		copy(dst, line[:len(line)-1])
	}
	return dst
}

// failed is a reader that could not be opened.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
func (failed) Close() error               { return nil }

// Stored reads the log as it is stored, in the Encoding; size is in bytes.
// ErrUnsupported: it has none.
func (c *Content) Stored(ctx context.Context) (r io.ReadCloser, size int64, err error) {
	if c.Encoding == "" {
		return nil, 0, logservice.ErrUnsupported
	}
	r, err = c.rangeOf(ctx, 0, -1)
	return r, c.stored(), err
}

// forget closes what was opened to examine the first bytes, which holds a part
// of the blob in memory.
func (c *Content) forget() {
	if c.begun != nil {
		_ = c.begun.Close() // read only: nothing can be lost
		c.begun = nil
	}
}

// Close releases the content.
func (c *Content) Close() error {
	if c.upload != nil {
		return c.upload.Close()
	}
	if c.blob == nil {
		return nil
	}
	c.forget()
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
