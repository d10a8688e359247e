package logs

import (
	"context"
	"io"
	"iter"
	"time"

	logservice "github.com/harness/log-service"
)

// Store keeps finished logs as blobs. All methods may be called from any
// number of goroutines, and any memory they take is bounded, whatever a
// blob's size. Errors are those of package logservice, wrapped:
// ErrBlobNotFound, and ErrUnavailable for a store that is down or full. A
// store encodes identities injectively; no key leaves its account.
type Store interface {
	// Put stores what r yields until io.EOF. The blob appears whole and
	// durable when Put returns nil, in place of one of that identity; on any
	// error, one of r included, the old blob is untouched and nothing is left
	// behind. Info.Size and Info.Modified are set by the store.
	Put(ctx context.Context, id logservice.ID, r io.Reader, info BlobInfo) error

	// Get opens a blob. What it reads is the blob as it was at Get, also when
	// it is replaced or deleted meanwhile, for as long as a store can promise
	// that; where it cannot, reading fails and never mixes two blobs.
	Get(ctx context.Context, id logservice.ID) (Blob, error)

	// Delete removes a blob; one that does not exist is no error.
	Delete(ctx context.Context, id logservice.ID) error

	// List yields the blobs of an account at and below prefix (whole
	// segments; empty is all) in the order of their keys. It holds nothing
	// open between two yields that would block a writer.
	List(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[BlobEntry, error]
}

// Blob is an open blob. Close it.
type Blob interface {
	Info() BlobInfo
	// Range reads length bytes from offset, or fewer where the blob ends;
	// a negative length reads to the end. Several ranges may be read at once.
	Range(ctx context.Context, offset, length int64) (io.ReadCloser, error)
	io.Closer
}

// BlobEntry is one result of a listing.
type BlobEntry struct {
	Key  logservice.Key
	Info BlobInfo
}

// BlobInfo is what a store keeps beside the bytes of a blob.
type BlobInfo struct {
	Size     int64     // bytes as stored; set by the store
	Modified time.Time // set by the store
	// Archive says that the bytes are an archive that this service made (see
	// package archive); otherwise they are what a client uploaded, to be
	// given back byte for byte.
	Archive bool
	// RawSize is the size in bytes of the NDJSON inside an archive, and Lines
	// how many lines it has. Zero where unknown.
	RawSize int64
	Lines   int64
	// Incomplete marks the archive of a log whose writer went silent.
	Incomplete bool
}
