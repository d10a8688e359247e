package logs

import (
	"context"
	"io"
	"iter"
	"time"

	logservice "github.com/harness/log-service"
)

// PutBlob stores what r yields as the log of id, byte for byte and whole or
// not at all, replacing what was there. With add it goes behind what is
// there instead (an archive's lines, as JSON lines).
//
// An empty r that would replace a blob with content written in the last
// minutes is refused with ErrConflict: it is a client's retry with a body
// that it had already consumed. Writers of one identity take turns; one that
// waits too long gets ErrUnavailable.
func (s *Service) PutBlob(ctx context.Context, id logservice.ID, r io.Reader, add bool) error {
	return logservice.ErrUnsupported
}

// Content is a finished log, opened by Service.Blob. Close it.
type Content struct {
	// Size is the size of the log in bytes as Range gives it (JSON lines, or
	// a client's own bytes); -1 where unknown: then only read it from 0.
	Size     int64
	Modified time.Time // zero where unknown
	// Archive: this service archived the log; StoredZstd may be used.
	Archive    bool
	Lines      int64 // zero where unknown
	Incomplete bool  // the log's writer went silent
}

// Range reads length bytes of the log from offset, or fewer where it ends; a
// negative length reads to the end. Damage is an error of the reader, or of
// Range, and never wrong data. It is cheap at any offset where Size is known.
// Close the reader before the Content.
func (c *Content) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	return nil, logservice.ErrUnsupported
}

// StoredZstd reads an archive as it is stored: zstd frames whose content is
// what Range reads. size is in bytes. ErrUnsupported where the log is not
// stored so (Archive is false).
func (c *Content) StoredZstd(ctx context.Context) (r io.ReadCloser, size int64, err error) {
	return nil, 0, logservice.ErrUnsupported
}

// Close lets the content go.
func (c *Content) Close() error { return nil }

// Blob opens the finished log of id: a blob of the store, or a closed stream
// that waits to be archived. ErrBlobNotFound: neither exists.
func (s *Service) Blob(ctx context.Context, id logservice.ID) (*Content, error) {
	return nil, logservice.ErrUnsupported
}

// BlobExists tells whether Blob would find something.
func (s *Service) BlobExists(ctx context.Context, id logservice.ID) (bool, error) {
	return false, logservice.ErrUnsupported
}

// DeleteBlob deletes the stored log of id; one that does not exist is no
// error.
func (s *Service) DeleteBlob(ctx context.Context, id logservice.ID) error {
	return logservice.ErrUnsupported
}

// DeleteBlobs deletes the stored logs of account at and below prefix (whole
// segments) and says how many. On an error some may be gone.
func (s *Service) DeleteBlobs(ctx context.Context, account string, prefix logservice.Key) (int, error) {
	return 0, logservice.ErrUnsupported
}

// ListBlobs yields the stored logs of account at and below prefix; see
// Store.List.
func (s *Service) ListBlobs(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[BlobEntry, error] {
	return s.store.List(ctx, account, prefix)
}
