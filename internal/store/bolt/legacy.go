package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

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
	err = s.view(func(tx *txn) error {
		value, err := tx.get(bucketBlobs, blob)
		if err != nil {
			return err
		}
		rec, err := decodeRecord(blob, value)
		if err != nil || rec.file || rec.generation != generation {
			return logservice.ErrBlobNotFound
		}
		if value, err = tx.get(bucketChunks, key); err != nil {
			return err
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
		more = false
		err := s.view(func(tx *txn) error {
			return tx.scan(bucketGarbage, nil, func(_, _ []byte) bool { more = true; return false })
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

func removeLegacyChunks(tx *txn) error {
	var generation []byte
	err := tx.scan(bucketGarbage, nil, func(key, _ []byte) bool { generation = bytes.Clone(key); return false })
	if err != nil || generation == nil {
		return err
	}
	var keys [][]byte
	err = tx.scan(bucketChunks, generation, func(key, _ []byte) bool {
		if !bytes.HasPrefix(key, generation) || len(keys) == legacyChunksPerTx {
			return false
		}
		keys = append(keys, bytes.Clone(key))
		return true
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		err = errors.Join(err, tx.delete(bucketChunks, key))
	}
	if len(keys) < legacyChunksPerTx {
		err = errors.Join(err, tx.delete(bucketGarbage, generation))
	}
	return err
}
