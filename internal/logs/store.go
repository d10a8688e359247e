package logs

import (
	"context"
	"io"
	"iter"
	"time"

	logservice "github.com/harness/log-service"
)

// ErrDamaged means that data cannot be read as it was written, and never will
// be: a checksum mismatch, an unreadable sector. The message names the place.
var ErrDamaged = logservice.ErrDamaged

// Store holds finished logs as blobs. All methods are safe for concurrent use,
// and their memory is bounded, whatever the size of a blob. Errors wrap those
// of package logservice: ErrBlobNotFound, and ErrUnavailable for a store that
// is down or full. A blob that is partly lost is ErrDamaged there; other blobs
// are not affected. A store encodes identities injectively; no key escapes its
// account. A store that can check its own health is also a Checker.
type Store interface {
	// Put stores what r yields until io.EOF. When Put returns nil, the blob is
	// complete and durable, and has replaced any blob of that identity. After
	// an error, including one of r, the old blob is unchanged and nothing else
	// remains. Info.Size and Info.Modified are set by the store.
	Put(ctx context.Context, id logservice.ID, r io.Reader, info BlobInfo) error

	// Get opens a blob. It reads the blob as it was at Get, even if it is
	// replaced or deleted meanwhile, for as long as the store can ensure that;
	// otherwise reading fails, and never mixes two blobs.
	Get(ctx context.Context, id logservice.ID) (Blob, error)

	// Delete removes a blob. A missing blob is not an error.
	Delete(ctx context.Context, id logservice.ID) error

	// List yields the blobs of an account at and below prefix (whole segments;
	// empty selects all), ordered by key; keys of more than 200 bytes may be
	// out of order. Size and Modified of Info are always set. A blob whose
	// record is damaged comes with its key and ErrDamaged, and others after
	// it. Between two yields it holds nothing that would block a writer.
	List(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[BlobEntry, error]
}

// Indexer is a Store that can store an index beside a blob.
type Indexer interface {
	// PutIndexed is Put of a blob with an index (some bytes per 256 KiB of the
	// blob). It calls index when r has ended.
	PutIndexed(ctx context.Context, id logservice.ID, r io.Reader, info BlobInfo, index func() []byte) error
}

// IndexedBlob is a Blob of an Indexer.
type IndexedBlob interface {
	// Index returns the index that was stored with the blob, or ErrBlobNotFound
	// if there is none (anymore).
	Index(ctx context.Context) ([]byte, error)
}

// Expirer is a Store that can delete old blobs.
type Expirer interface {
	// Expire deletes the blobs stored before a time and returns their number.
	// It is slow enough not to affect other callers.
	Expire(ctx context.Context, before time.Time) (n int, err error)
}

// Signer is a Store that anyone who has a link can use without the service.
// Signing needs practically no I/O, so links can be created while the store is
// down.
type Signer interface {
	// SignPut returns a URL that for ttl accepts the blob of id as the body of
	// an HTTP PUT; SignGet returns one that serves it as stored to an HTTP GET.
	// ErrUnsupported means that this id has no such URL.
	SignPut(ctx context.Context, id logservice.ID, ttl time.Duration) (url string, err error)
	SignGet(ctx context.Context, id logservice.ID, ttl time.Duration) (url string, err error)
}

// Blob is an open blob. It must be closed.
type Blob interface {
	Info() BlobInfo
	// Range reads length bytes from offset, or fewer if the blob ends earlier;
	// a negative length reads to the end. Several ranges may be read at once.
	Range(ctx context.Context, offset, length int64) (io.ReadCloser, error)
	io.Closer
}

// BlobEntry is one result of a listing.
type BlobEntry struct {
	Key  logservice.Key
	Info BlobInfo
}

// BlobInfo is stored with the bytes of a blob.
type BlobInfo struct {
	Size     int64     // bytes as stored; set by the store
	Modified time.Time // set by the store
	// Archive marks bytes that are an archive created by this service (see
	// package archive). Other blobs are client uploads, which are returned byte
	// for byte.
	Archive bool
	// Plain marks an archive whose bytes are the lines themselves, with its
	// index beside them; see Indexer.
	Plain bool
	// RawSize is the size in bytes of the NDJSON inside an archive, and Lines
	// its number of lines. Zero if unknown.
	RawSize int64
	Lines   int64
	// Incomplete marks the archive of a log whose writer became silent.
	Incomplete bool
}
