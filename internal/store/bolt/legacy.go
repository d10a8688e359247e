package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Before layout 2 the bytes of larger blobs were in the catalog file itself:
//
//	chunks   generation, number of the chunk (BE) -> CRC32C, encoding, bytes
//	garbage  generation                           -> its chunks belong to no blob
//
// Such blobs are still read, until they are replaced or deleted.
var (
	bucketChunks  = []byte("chunks")
	bucketGarbage = []byte("garbage")
)

// chunkHeader precedes the bytes of a chunk: CRC32C of the chunk's key and
// everything that follows, then the encoding.
const chunkHeader = 5

// legacyChunksPerTx limits the chunks that one transaction deletes (16 MiB of
// raw bytes), so that a large deletion does not delay other calls.
const legacyChunksPerTx = 64

func generationKey(generation uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, generation)
}

func chunkKey(generation uint64, n uint32) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12), generation)
	return binary.BigEndian.AppendUint32(b, n)
}

// legacyChunk appends chunk n of a blob, want raw bytes, to dst. A blob that
// was replaced or deleted meanwhile is not found.
func (s *Store) legacyChunk(dst, blob []byte, generation uint64, n uint32, want int) (raw []byte, err error) {
	key := chunkKey(generation, n)
	err = s.view(func(tx *bbolt.Tx) error {
		rec, err := decodeRecord(blob, tx.Bucket(bucketBlobs).Get(blob))
		if err != nil || rec.file || rec.generation != generation {
			return logservice.ErrBlobNotFound
		}
		var value []byte
		if chunks := tx.Bucket(bucketChunks); chunks != nil {
			value = chunks.Get(key)
		}
		if len(value) < chunkHeader || binary.BigEndian.Uint32(value) != checksum(key, value[4:]) {
			return fmt.Errorf("%w: it is missing or fails its checksum", logs.ErrDamaged)
		}
		raw, err = s.zip.expand(dst, value[chunkHeader:], value[4], want)
		return err
	})
	return raw, err
}

func (s *Store) wakeRemoveLegacy() {
	select {
	case s.legacyGarbage <- struct{}{}:
	default: // already awake
	}
}

// removeLegacy deletes the chunks of deleted blobs, a limited number per
// transaction, until there are none.
func (s *Store) removeLegacy(ctx context.Context) error {
	for more := true; more; {
		err := s.view(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketGarbage)
			more = b != nil && b.Stats().KeyN > 0
			return nil
		})
		if err != nil || !more {
			return err
		}
		if err := s.submit(ctx, &op{frees: true, apply: removeLegacyChunks}); err != nil {
			return err
		}
		select {
		case <-time.After(expirePause):
		case <-s.stop:
			return errClosed
		}
	}
	return nil
}

func removeLegacyChunks(tx *bbolt.Tx) error {
	garbage, chunks := tx.Bucket(bucketGarbage), tx.Bucket(bucketChunks)
	generation, _ := garbage.Cursor().First()
	if generation == nil {
		return nil
	}
	generation = bytes.Clone(generation)
	var keys [][]byte // deleting under a cursor moves the cursor
	c := chunks.Cursor()
	for k, _ := c.Seek(generation); bytes.HasPrefix(k, generation) && len(keys) < legacyChunksPerTx; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	var errs []error
	for _, k := range keys {
		errs = append(errs, chunks.Delete(k))
	}
	if len(keys) < legacyChunksPerTx {
		errs = append(errs, garbage.Delete(generation))
	}
	return errors.Join(errs...)
}
