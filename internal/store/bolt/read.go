package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Get opens a blob; see logs.Store. Its chunks stay until it is closed, also
// when it is replaced or deleted meanwhile.
func (s *Store) Get(ctx context.Context, id logservice.ID) (logs.Blob, error) {
	key, err := blobKey(id)
	if err != nil {
		return nil, err
	}
	rec, err := s.record(key)
	// Between reading the record and holding its generation, the blob may be
	// replaced and its chunks deleted. A record that still stands after the
	// hold makes sure that every later deletion sees the hold.
	for err == nil && rec.generation != 0 {
		s.garbage.hold(rec.generation)
		var again record
		if again, err = s.record(key); err == nil && again.generation == rec.generation {
			break
		}
		s.garbage.release(rec.generation)
		rec = again
		if err == nil {
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, s.about(id, "read", err)
	}
	b := &blob{store: s, id: id, rec: rec}
	if rec.generation == 0 {
		b.raw, err = s.zip.expand(nil, rec.inline, rec.encoding, int(rec.info.Size))
		if err != nil {
			return nil, s.about(id, "read", err)
		}
	}
	return b, nil
}

// record reads and copies the record at key.
func (s *Store) record(key []byte) (rec record, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		value := tx.Bucket(bucketBlobs).Get(key)
		if value == nil {
			return logservice.ErrBlobNotFound
		}
		var err error
		if rec, err = decodeRecord(key, value); err != nil {
			return err
		}
		rec.inline = append([]byte(nil), rec.inline...)
		s.touch(tx, touchedByLookup)
		return nil
	})
	return rec, err
}

// blob is an open blob.
type blob struct {
	store *Store
	id    logservice.ID
	rec   record
	raw   []byte // all of it, if it has no generation

	mu     sync.Mutex
	closed bool // guarded by mu
}

func (b *blob) Info() logs.BlobInfo { return b.rec.info }

// Close lets the chunks go, once the last open range is closed too.
func (b *blob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && b.rec.generation != 0 {
		b.store.garbage.release(b.rec.generation)
	}
	b.closed = true
	return nil
}

// Range opens a part of the blob; see logs.Blob. The reader holds one chunk
// in memory and no transaction. Close it.
func (b *blob) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, logservice.Invalidf("offset %d is negative", offset)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, fmt.Errorf("blob: %w", os.ErrClosed)
	}
	left := max(0, b.rec.info.Size-offset)
	if length >= 0 {
		left = min(left, length)
	}
	r := &rangeReader{ctx: ctx, blob: b, offset: offset, left: left}
	if b.rec.generation != 0 {
		b.store.garbage.hold(b.rec.generation)
	}
	return r, nil
}

// rangeReader reads a range. Like any reader it serves one goroutine.
type rangeReader struct {
	ctx    context.Context
	blob   *blob
	offset int64 // of the next byte that Read returns
	left   int64 // bytes to the end of the range
	chunk  *[chunkSize]byte
	rest   []byte // what is unread of chunk (or of the blob's raw bytes)
	closed bool
}

func (r *rangeReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.next(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.advance(n)
	return n, nil
}

// WriteTo spares io.Copy a buffer.
func (r *rangeReader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := r.next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(r.rest)
		r.advance(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

func (r *rangeReader) advance(n int) {
	r.rest = r.rest[n:]
	r.offset += int64(n)
	r.left -= int64(n)
}

// next fills rest if it is empty; io.EOF at the end of the range.
func (r *rangeReader) next() error {
	switch {
	case r.closed:
		return fmt.Errorf("blob range: %w", os.ErrClosed)
	case r.left <= 0:
		r.drop()
		return io.EOF
	case len(r.rest) > 0:
		return nil
	}
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	rec := &r.blob.rec
	if rec.generation == 0 {
		r.rest = r.blob.raw[r.offset:][:r.left]
		return nil
	}
	n := r.offset / chunkSize
	if r.chunk == nil {
		r.chunk = r.blob.store.buffers.get()
	}
	want := min(chunkSize, rec.info.Size-n*chunkSize)
	raw, err := r.blob.store.readChunk(r.chunk[:0], rec.generation, uint32(n), int(want))
	if err != nil {
		return r.blob.store.about(r.blob.id, "read", fmt.Errorf("chunk %d: %w", n, err))
	}
	raw = raw[r.offset-n*chunkSize:]
	r.rest = raw[:min(int64(len(raw)), r.left)]
	return nil
}

// drop gives the buffer back.
func (r *rangeReader) drop() {
	if r.chunk != nil {
		r.rest = nil
		r.blob.store.buffers.put(r.chunk)
		r.chunk = nil
	}
}

func (r *rangeReader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.drop()
	if r.blob.rec.generation != 0 {
		r.blob.store.garbage.release(r.blob.rec.generation)
	}
	return nil
}

// readChunk reads chunk n of a generation, want bytes, into dst, which has
// room for chunkSize. The transaction lasts as long as the chunk takes to
// expand.
func (s *Store) readChunk(dst []byte, generation uint64, n uint32, want int) (raw []byte, err error) {
	key := chunkKey(generation, n)
	err = s.view(func(tx *bbolt.Tx) error {
		value := tx.Bucket(bucketChunks).Get(key)
		if value == nil {
			return fmt.Errorf("%w: missing", ErrDamaged)
		}
		prefetch(tx, value)
		defer s.touch(tx, len(value)+touchedByLookup)
		encoding, stored, err := openChunk(key, value)
		if err != nil {
			return err
		}
		raw, err = s.zip.expand(dst, stored, encoding, want)
		return err
	})
	return raw, err
}
