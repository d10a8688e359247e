package logs

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	logservice "github.com/harness/log-service"
)

// ErrDamaged means that data cannot be read as it was written, and never will
// be: a checksum mismatch, an unreadable sector. The message names the place.
var ErrDamaged = logservice.ErrDamaged

// IsDamage reports whether err is permanent. A store that repairs itself is
// unavailable as well.
func IsDamage(err error) bool {
	return errors.Is(err, ErrDamaged) && !errors.Is(err, logservice.ErrUnavailable)
}

// Store holds finished logs as blobs. All methods are safe for concurrent use,
// and their memory is bounded, whatever the size of a blob. Errors wrap those
// of package logservice: ErrBlobNotFound, and ErrUnavailable for a store that
// is down or full. A blob that is partly lost is ErrDamaged there; other blobs
// are not affected. A store encodes identities injectively; no key escapes its
// account. A store that can check its own health is also a Checker.
type Store interface {
	// Put stores what r yields until io.EOF as the attempt Info.Attempt of the
	// log; zero is the first. When Put returns nil, the blob is complete and
	// durable, and has replaced any blob of that attempt. After an error,
	// including one of r, the old blob is unchanged and nothing else remains.
	// Info.Size and Info.Modified are set by the store.
	Put(ctx context.Context, id logservice.ID, r io.Reader, info BlobInfo) error

	// Get opens the newest attempt of a log. It reads the blob as it was at Get, even if it is
	// replaced or deleted meanwhile, for as long as the store can ensure that;
	// otherwise reading fails, and never mixes two blobs.
	Get(ctx context.Context, id logservice.ID) (Blob, error)

	// GetAttempt opens one attempt of a log, from 1, like Get.
	GetAttempt(ctx context.Context, id logservice.ID, attempt int64) (Blob, error)

	// Attempts describes the attempts of a log in order, as List does; there may
	// be none.
	Attempts(ctx context.Context, id logservice.ID) ([]BlobInfo, error)

	// Delete removes all attempts of a log. A missing log is not an error.
	Delete(ctx context.Context, id logservice.ID) error

	// List yields the logs of an account at and below prefix (see logservice.Key.Under;
	// empty selects all), ordered by key, each with its newest attempt; keys of
	// more than 200 bytes may be out of order. Size, Modified and Attempt of
	// Info are always set. A log whose record is damaged comes with its key and
	// ErrDamaged, and others after it. Between two yields it holds nothing that
	// would block a writer.
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

// Signer is a Store from which anyone who has a link can read without the
// service. What is uploaded always passes through the service, which joins it
// with the lines that were streamed.
type Signer interface {
	// SignGet returns a URL that for ttl serves the newest attempt of a log as
	// stored to an HTTP GET. ErrBlobNotFound: there is none yet.
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
	Key      logservice.Key
	Info     BlobInfo // of the newest attempt
	Attempts int      // how many are stored
	Bytes    int64    // of all attempts, as stored
}

// BlobInfo is stored with the bytes of a blob.
type BlobInfo struct {
	Attempt  int64     // which attempt of the log it is, from 1
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
	// Streamed marks a blob that is no archive and has lines that were streamed.
	Streamed bool
}

// Attempt names one attempt of a log.
type Attempt struct {
	logservice.ID
	Number int64 // from 1
}

// PerLog makes a listing of logs from one of attempts, in which those of a log
// are adjacent and each entry has only its Key and Info. Errors are passed on.
func PerLog(attempts iter.Seq2[BlobEntry, error]) iter.Seq2[BlobEntry, error] {
	return func(yield func(BlobEntry, error) bool) {
		var log BlobEntry // complete when another key follows
		for e, err := range attempts {
			if log.Attempts > 0 && (err != nil || log.Key != e.Key) {
				if !yield(log, nil) {
					return
				}
				log = BlobEntry{}
			}
			if err != nil {
				if !yield(e, err) {
					return
				}
				continue
			}
			if e.Info.Attempt >= log.Info.Attempt {
				log.Key, log.Info = e.Key, e.Info
			}
			log.Attempts++
			log.Bytes += e.Info.Size
		}
		if log.Attempts > 0 {
			yield(log, nil)
		}
	}
}
