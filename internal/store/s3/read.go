package s3

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/backoff"
	"github.com/harness/log-service/internal/logs"
)

const (
	// maxResumes is how often an interrupted download is resumed without having
	// received a byte since.
	maxResumes = 3
	// Pauses before the second and the third attempt.
	firstResume = 200 * time.Millisecond
	lastResume  = 2 * firstResume
	// copyBuffer is the buffer of a download.
	copyBuffer = 256 << 10
	// maxIndex limits the index of a blob in memory: that of the longest log
	// (see package archive).
	maxIndex = 32 << 20
)

// Get opens the newest attempt of a log; see logs.Store. If it is replaced or
// deleted afterwards, reading it returns ErrUnavailable or ErrBlobNotFound.
func (s *Store) Get(ctx context.Context, id logservice.ID) (logs.Blob, error) {
	newest, err := s.newest(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.get(ctx, newest.name, newest.info.Attempt)
}

// GetAttempt opens an attempt of a log; see logs.Store.
func (s *Store) GetAttempt(ctx context.Context, id logservice.ID, attempt int64) (logs.Blob, error) {
	name, _, err := s.name(id, attempt)
	if err != nil {
		return nil, err
	}
	return s.get(ctx, name, attempt)
}

func (s *Store) get(ctx context.Context, name string, attempt int64) (logs.Blob, error) {
	o, err := s.stat(ctx, name)
	if err != nil {
		return nil, err
	}
	info := infoOf(o)
	info.Attempt = attempt
	return &blob{store: s, name: name, object: o, info: info}, nil
}

func (s *Store) stat(ctx context.Context, name string) (minio.ObjectInfo, error) {
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	o, err := s.client.StatObject(limited, s.bucket, name, minio.StatObjectOptions{})
	return o, s.fault(ctx, "stat", err)
}

// blob is an open blob.
type blob struct {
	store  *Store
	name   string
	object minio.ObjectInfo
	info   logs.BlobInfo
	closed atomic.Bool
}

func (b *blob) Info() logs.BlobInfo { return b.info }

func (b *blob) Close() error {
	b.closed.Store(true)
	return nil
}

// Index reads the index of a blob; see logs.IndexedBlob.
func (b *blob) Index(ctx context.Context) ([]byte, error) {
	m := b.object.UserMetadata
	if text := m[metaIndex]; text != "" {
		return base64.StdEncoding.DecodeString(text)
	}
	if m[metaIndexID] == "" {
		return nil, logservice.ErrBlobNotFound
	}
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	body, o, _, err := b.store.client.GetObject(limited, b.store.bucket, indexOf(b.name), minio.GetObjectOptions{})
	if err != nil {
		return nil, b.store.fault(ctx, "read an index", err)
	}
	defer body.Close()
	if o.UserMetadata[metaIndexID] != m[metaIndexID] || o.Size > maxIndex {
		return nil, logservice.ErrBlobNotFound // it belongs to another object
	}
	index, err := io.ReadAll(io.LimitReader(body, maxIndex))
	return index, b.store.fault(ctx, "read an index", err)
}

// Range opens a part of the blob; see logs.Blob.
func (b *blob) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, logservice.Invalidf("offset %d is negative", offset)
	}
	if b.closed.Load() {
		return nil, fmt.Errorf("blob: %w", os.ErrClosed)
	}
	left := max(0, b.info.Size-offset)
	if length >= 0 {
		left = min(left, length)
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &rangeReader{ctx: ctx, cancel: cancel, blob: b, offset: offset, left: left, pauses: backoff.Backoff{First: firstResume, Most: lastResume}}
	if left > 0 {
		if err := r.open(); err != nil {
			cancel()
			return nil, err
		}
	}
	return r, nil
}

// rangeReader reads a range, and resumes interrupted downloads. It is used by
// one goroutine.
type rangeReader struct {
	ctx    context.Context
	cancel context.CancelFunc
	blob   *blob
	offset int64         // of the next byte
	left   int64         // bytes to the end of the range
	body   io.ReadCloser // nil: none is open
	cuts   int           // since the last byte
	pauses backoff.Backoff
	err    error
}

// open requests the rest of the range, on the condition that the object is
// unchanged.
func (r *rangeReader) open() error {
	s := r.blob.store
	var o minio.GetObjectOptions
	if err := o.SetRange(r.offset, r.offset+r.left-1); err != nil {
		return err
	}
	if err := o.SetMatchETag(r.blob.object.ETag); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.ctx)
	late := time.AfterFunc(answerTime, cancel)
	body, got, header, err := s.client.GetObject(ctx, s.bucket, r.blob.name, o)
	if err != nil {
		cancel()
		return s.fault(r.ctx, "read", err)
	}
	r.body = &cancelled{body, cancel}
	// Not every store checks the condition and reads the bytes atomically.
	want := fmt.Sprintf("bytes %d-%d/%d", r.offset, r.offset+r.left-1, r.blob.info.Size)
	switch {
	case !late.Stop():
		err = context.DeadlineExceeded
	case got.ETag != r.blob.object.ETag || header.Get("Content-Range") != want:
		err = fmt.Errorf("asked for %s of %s, got %s of %s", want, r.blob.object.ETag, header.Get("Content-Range"), got.ETag)
	}
	if err != nil {
		_ = r.body.Close()
	}
	return s.fault(r.ctx, "read", err)
}

// cancelled is a body that cancels its request when closed.
type cancelled struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *cancelled) Close() error {
	c.cancel() // first, so that unread bytes are not sent
	return c.ReadCloser.Close()
}

func (r *rangeReader) Read(p []byte) (int, error) {
	for {
		switch {
		case r.err != nil:
			return 0, r.err
		case r.left == 0:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
		r.offset, r.left = r.offset+int64(n), r.left-int64(n)
		if n > 0 {
			r.cuts = 0
			r.pauses.Reset()
		}
		if err != nil && r.left > 0 {
			r.err = r.resume(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// WriteTo is for io.Copy, which would use smaller steps.
func (r *rangeReader) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, max(1, min(copyBuffer, r.left)))
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf)
}

// resume continues after an interruption.
func (r *rangeReader) resume(cut error) error {
	_ = r.body.Close()
	for ; r.cuts < maxResumes; r.cuts++ {
		if r.cuts > 0 {
			_ = r.pauses.Wait(r.ctx) // checked below
		}
		if cause := context.Cause(r.ctx); cause != nil {
			return cause
		}
		err := r.open()
		if err == nil {
			r.cuts++
			return nil
		}
		cut = err
	}
	return r.blob.store.fault(r.ctx, "read", cut)
}

func (r *rangeReader) Close() error {
	r.cancel()
	if r.body != nil {
		_ = r.body.Close() // read-only: nothing can be lost
	}
	r.err = fmt.Errorf("blob range: %w", os.ErrClosed)
	return nil
}
