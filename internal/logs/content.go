package logs

import (
	"context"
	"errors"
	"io"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
)

// Content is a finished log, opened by Service.Blob, for one goroutine.
// Close it.
type Content struct {
	// Size is the size of the log in bytes as Range gives it (JSON lines, or
	// a client's own bytes); -1 where unknown: then only read it from 0.
	Size     int64
	Modified time.Time // zero where unknown
	// Archive: this service archived the log; StoredZstd may be used.
	Archive    bool
	Lines      int64 // zero where unknown
	Incomplete bool  // the log's writer went silent

	blob    Blob            // of the store, or nil
	archive *archive.Reader // over blob, or nil
	streams Streams         // of a closed stream, or nil
	id      logservice.ID
}

// openStored opens a blob of the store.
func (s *Service) openStored(ctx context.Context, id logservice.ID) (*Content, error) {
	b, err := s.store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	info := b.Info()
	c := &Content{Size: info.Size, Modified: info.Modified, Lines: info.Lines, Incomplete: info.Incomplete, blob: b}
	if !info.Archive {
		return c, nil
	}
	if c.archive, err = s.codec.Open(ctx, b, info.Size); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	sum := c.archive.Summary()
	c.Archive, c.Size, c.Lines, c.Incomplete = true, sum.RawSize, sum.Lines, sum.Incomplete
	return c, nil
}

// Range reads length bytes of the log from offset, or fewer where it ends; a
// negative length reads to the end. Damage is an error of the reader, or of
// Range, and never wrong data. It is cheap at any offset where Size is known.
// Close the reader before the Content; ctx must outlive the reader.
func (c *Content) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	switch {
	case c.archive != nil:
		return io.NopCloser(c.archive.Content(ctx, offset, length)), nil
	case c.blob != nil:
		return c.blob.Range(ctx, offset, length)
	}
	cursor, err := c.streams.Follow(ctx, c.id, 0)
	if err != nil {
		return nil, err
	}
	r := &cursorReader{ctx: ctx, c: cursor}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, r.Close())
	}
	if length < 0 {
		return r, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, length), r}, nil
}

// StoredZstd reads an archive as it is stored: zstd frames whose content is
// what Range reads. size is in bytes. ErrUnsupported where the log is not
// stored so (Archive is false).
func (c *Content) StoredZstd(ctx context.Context) (r io.ReadCloser, size int64, err error) {
	if c.archive == nil {
		return nil, 0, logservice.ErrUnsupported
	}
	r, err = c.blob.Range(ctx, 0, -1)
	return r, c.blob.Info().Size, err
}

// Close lets the content go.
func (c *Content) Close() error {
	if c.blob == nil {
		return nil
	}
	return c.blob.Close()
}

// cursorReader reads the lines of a closed stream.
type cursorReader struct {
	ctx     context.Context
	c       Cursor
	batches []*Batch
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
