package logs

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	logservice "github.com/harness/log-service"
)

// ErrDamaged marks what cannot be read as it was written, and will not be: a
// checksum that does not match, a sector that the disk cannot read. The message
// says where.
var ErrDamaged = errors.New("damaged")

// Store keeps finished logs as blobs. All methods may be called from any
// number of goroutines, and any memory they take is bounded, whatever a
// blob's size. Errors are those of package logservice, wrapped:
// ErrBlobNotFound, and ErrUnavailable for a store that is down or full; a blob
// of which a part is lost for good is ErrDamaged there, others are untouched.
// A store encodes identities injectively; no key leaves its account. One that
// can say whether it works is a Checker.
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
	// segments; empty is all) in the order of their keys; one whose key has
	// more than 200 bytes may come out of turn. Of Info, Size and Modified
	// are always set. It holds nothing open between two yields that would
	// block a writer.
	List(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[BlobEntry, error]
}

// Indexer is a Store that keeps an index beside a blob.
type Indexer interface {
	// PutIndexed is Put of a blob with an index (some bytes for each 256 KiB of
	// it). It calls index when r has ended.
	PutIndexed(ctx context.Context, id logservice.ID, r io.Reader, info BlobInfo, index func() []byte) error
}

// IndexedBlob is a Blob of an Indexer.
type IndexedBlob interface {
	// Index returns the index that was stored with the blob, ErrBlobNotFound
	// where there is none (any more).
	Index(ctx context.Context) ([]byte, error)
}

// Expirer is a Store that deletes what is old when it is told to.
type Expirer interface {
	// Expire deletes the blobs that were stored before a time and says how many,
	// slowly enough that nobody else notices.
	Expire(ctx context.Context, before time.Time) (n int, err error)
}

// Signer is a Store that can be used without the service by whoever has a
// link. Signing does no I/O to speak of, so that links can be made while the
// store is down.
type Signer interface {
	// SignPut returns a URL that takes the blob of id as the body of an HTTP
	// PUT for ttl, SignGet one that gives it as stored to an HTTP GET.
	// ErrUnsupported: not for this id.
	SignPut(ctx context.Context, id logservice.ID, ttl time.Duration) (url string, err error)
	SignGet(ctx context.Context, id logservice.ID, ttl time.Duration) (url string, err error)
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
	// Plain says that the bytes of an archive are the lines themselves, with
	// its index beside them; see Indexer.
	Plain bool
	// RawSize is the size in bytes of the NDJSON inside an archive, and Lines
	// how many lines it has. Zero where unknown.
	RawSize int64
	Lines   int64
	// Incomplete marks the archive of a log whose writer went silent.
	Incomplete bool
}
