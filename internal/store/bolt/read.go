package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Get opens the newest attempt of a log; see logs.Store. A blob in a file can be
// read even if it is replaced or deleted meanwhile: its file exists while it is
// open.
func (s *Store) Get(ctx context.Context, id logservice.ID) (logs.Blob, error) {
	first, err := blobKey(id, 1)
	if err != nil {
		return nil, err
	}
	var newest []byte
	err = s.view(func(tx *txn) error {
		err := tx.attempts(first, func(key, _ []byte) { newest = append(newest[:0], key...) })
		if err == nil && newest == nil {
			err = logservice.ErrBlobNotFound
		}
		return err
	})
	if err != nil {
		return nil, s.about(id, "read", err)
	}
	return s.get(ctx, id, newest)
}

// GetAttempt opens an attempt of a log; see logs.Store.
func (s *Store) GetAttempt(ctx context.Context, id logservice.ID, attempt int64) (logs.Blob, error) {
	key, err := blobKey(id, attempt)
	if err != nil {
		return nil, err
	}
	return s.get(ctx, id, key)
}

// Attempts describes the attempts of a log; see logs.Store.
func (s *Store) Attempts(_ context.Context, id logservice.ID) (infos []logs.BlobInfo, err error) {
	first, err := blobKey(id, 1)
	if err != nil {
		return nil, err
	}
	err = s.view(func(tx *txn) error {
		return tx.attempts(first, func(key, value []byte) {
			// A damaged record still says which attempt it is of.
			rec, _ := decodeRecord(key, value)
			_, _, rec.info.Attempt = parseKey(key)
			infos = append(infos, rec.info)
		})
	})
	return infos, s.about(id, "read", err)
}

func (s *Store) get(ctx context.Context, id logservice.ID, key []byte) (logs.Blob, error) {
	b, err := s.openBlob(ctx, id, key)
	if err != nil {
		return nil, s.about(id, "read", err)
	}
	return b, nil
}

func (s *Store) openBlob(ctx context.Context, id logservice.ID, key []byte) (*blob, error) {
	b := &blob{store: s, id: id, key: key}
	var err error
	if b.rec, err = s.record(key); err != nil {
		return nil, err
	}
	for b.rec.file {
		b.file, err = s.reads.open(b.rec.generation, func() (file, error) { return s.disk.Open(s.blobFile(b.rec.generation)) })
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, s.alarmIf(readFailed(err))
		}
		// It was replaced or deleted between the two steps, or its file is
		// missing.
		missing := b.rec.generation
		if b.rec, err = s.record(key); err != nil {
			return nil, err
		}
		if b.rec.generation == missing {
			return nil, s.alarm(fmt.Errorf("%w: its file %s is missing", logs.ErrDamaged, s.blobFile(missing)))
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
	}
	if b.rec.generation == 0 {
		b.raw, err = s.zip.expand(nil, b.rec.inline, b.rec.encoding, int(b.rec.info.Size))
		if err != nil {
			return nil, s.alarm(err)
		}
	}
	return b, nil
}

// blob is an open blob.
type blob struct {
	store *Store
	id    logservice.ID
	key   []byte
	rec   record
	raw   []byte // all of it, if it is inline
	file  file   // nil if it has none

	mu      sync.Mutex
	closed  bool     // guarded by mu
	ranges  int      // guarded by mu; open ranges, which also need the file
	trailer *trailer // guarded by mu; nil before the first chunk is read
}

func (b *blob) Info() logs.BlobInfo { return b.rec.info }

// Close closes the file once the last open range is also closed.
func (b *blob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	return b.closeFile()
}

// closeFile closes the file if it is no longer needed.
func (b *blob) closeFile() error {
	if b.file == nil || !b.closed || b.ranges > 0 {
		return nil
	}
	return b.file.Close()
}

// Range opens a part of the blob; see logs.Blob. The reader holds one chunk in
// memory and no transaction. It must be closed.
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
	b.ranges++
	return &rangeReader{ctx: ctx, blob: b, offset: offset, left: left}, nil
}

// rangeReader reads a range. It is used by one goroutine.
type rangeReader struct {
	ctx    context.Context
	blob   *blob
	offset int64 // of the next byte that Read returns
	left   int64 // bytes to the end of the range
	chunk  *[maxStored]byte
	rest   []byte // the unread part of chunk (or of the blob's raw bytes)
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

// WriteTo avoids the buffer of io.Copy.
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

// next fills rest if it is empty; it returns io.EOF at the end of the range.
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
	raw, err := r.blob.chunk(r.chunk[:0], n, int(want))
	if err != nil {
		return r.blob.store.alarmIf(r.blob.store.about(r.blob.id, "read", fmt.Errorf("chunk %d: %w", n, err)))
	}
	raw = raw[r.offset-n*chunkSize:]
	r.rest = raw[:min(int64(len(raw)), r.left)]
	return nil
}

// drop returns the buffer.
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
	r.blob.mu.Lock()
	defer r.blob.mu.Unlock()
	r.blob.ranges--
	return r.blob.closeFile()
}

// chunk reads chunk n, want raw bytes, into dst, which has capacity for
// chunkSize.
func (b *blob) chunk(dst []byte, n int64, want int) ([]byte, error) {
	s := b.store
	if b.file == nil {
		return s.legacyChunk(dst, b.key, b.rec.generation, uint32(n), want)
	}
	t, err := b.loadTrailer()
	if err != nil {
		return nil, err
	}
	if b.rec.encoding == encodingRaw {
		raw, err := t.chunk(b.file, n, dst)
		if err == nil && len(raw) != want {
			err = fmt.Errorf("%w: %d bytes where %d belong", logs.ErrDamaged, len(raw), want)
		}
		return raw, err
	}
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	stored, err := t.chunk(b.file, n, buf[:0])
	if err != nil {
		return nil, err
	}
	return s.zip.expand(dst, stored, b.rec.encoding, want)
}

func (b *blob) loadTrailer() (*trailer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trailer != nil {
		return b.trailer, nil
	}
	t, err := readTrailer(b.file)
	if err == nil && (t.generation != b.rec.generation || !bytes.Equal(t.key, b.key)) {
		err = fmt.Errorf("%w: the file says that it is another", logs.ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.store.blobFile(b.rec.generation), err)
	}
	b.trailer = t
	return t, nil
}
