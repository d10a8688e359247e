package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

var (
	bucketBlobs = []byte("blobs")
	bucketFiles = []byte("files")
	bucketAbout = []byte("about")
	keySchema   = []byte("schema")
	keyInverse  = []byte("inverse") // the inverted version, against damage
	fileThere   = []byte{1}         // the value of all entries of bucketFiles
)

// schema is the version of the layout that this program writes. It also reads
// chunkSchema; see legacy.go.
const (
	schema      = 2
	chunkSchema = 1
)

// castagnoli is hardware-accelerated on common processors.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encodings of stored bytes.
const (
	encodingRaw  = 0
	encodingZstd = 1
)

// Flags of a record.
const (
	flagArchive = 1 << iota
	flagIncomplete
	flagZstd // the bytes are zstd frames
	flagFile // the bytes are in a blob file
	flagStreamed
)

const recordVersion = 1

// record is the catalog entry of a blob. Encoded: version, flags, then as
// varints size, modified (Unix nanoseconds), raw size, lines, generation; then
// the inline bytes of a blob without a generation; finally the CRC32C of key
// and record, so that a record never passes as another blob's.
type record struct {
	info       logs.BlobInfo
	generation uint64 // of its file or its chunks; zero: the bytes are inline
	file       bool   // the generation is that of a blob file
	encoding   byte   // of the bytes
	inline     []byte // as stored
}

func (r *record) encode(key []byte) []byte {
	b := make([]byte, 2, 2+5*binary.MaxVarintLen64+len(r.inline)+4)
	b[0] = recordVersion
	if r.info.Archive {
		b[1] |= flagArchive
	}
	if r.info.Incomplete {
		b[1] |= flagIncomplete
	}
	if r.info.Streamed {
		b[1] |= flagStreamed
	}
	if r.encoding == encodingZstd {
		b[1] |= flagZstd
	}
	if r.file {
		b[1] |= flagFile
	}
	b = binary.AppendVarint(b, r.info.Size)
	b = binary.AppendVarint(b, r.info.Modified.UnixNano())
	b = binary.AppendVarint(b, r.info.RawSize)
	b = binary.AppendVarint(b, r.info.Lines)
	b = binary.AppendUvarint(b, r.generation)
	b = append(b, r.inline...)
	return binary.BigEndian.AppendUint32(b, checksum(key, b))
}

// decodeRecord checks and decodes a record. Its inline bytes refer to b.
func decodeRecord(key, b []byte) (record, error) {
	var r record
	if len(b) < 2+4 {
		return r, fmt.Errorf("%w: record of %d bytes", logs.ErrDamaged, len(b))
	}
	body := b[:len(b)-4]
	if checksum(key, body) != binary.BigEndian.Uint32(b[len(body):]) {
		return r, fmt.Errorf("%w: record fails its checksum", logs.ErrDamaged)
	}
	if body[0] != recordVersion {
		return r, fmt.Errorf("%w: record has version %d, this program knows %d", logs.ErrDamaged, body[0], recordVersion)
	}
	flags := body[1]
	r.info.Archive = flags&flagArchive != 0
	r.info.Incomplete = flags&flagIncomplete != 0
	r.info.Streamed = flags&flagStreamed != 0
	r.file = flags&flagFile != 0
	if flags&flagZstd != 0 {
		r.encoding = encodingZstd
	}
	rest := body[2:]
	var modified int64
	for _, field := range []*int64{&r.info.Size, &modified, &r.info.RawSize, &r.info.Lines} {
		v, n := binary.Varint(rest)
		if n <= 0 {
			return r, fmt.Errorf("%w: record is cut short", logs.ErrDamaged)
		}
		*field, rest = v, rest[n:]
	}
	generation, n := binary.Uvarint(rest)
	if n <= 0 || r.info.Size < 0 {
		return r, fmt.Errorf("%w: record is cut short", logs.ErrDamaged)
	}
	r.info.Modified = time.Unix(0, modified).UTC()
	_, _, r.info.Attempt = parseKey(key)
	r.generation, r.inline = generation, rest[n:]
	return r, nil
}

// attemptBytes is what the key of a later attempt than the first ends in: NUL,
// and its number (32 bits, big-endian).
const attemptBytes = 1 + 4

// blobKey encodes an identity and an attempt (zero is the first): account, NUL,
// key, and for later attempts attemptBytes. Neither account nor key can contain
// a NUL (it is a control character), so the encoding is injective; the attempts
// of a log are adjacent and in order, and so are the logs of an account.
func blobKey(id logservice.ID, attempt int64) ([]byte, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	if attempt < 0 || attempt > math.MaxUint32 {
		return nil, logservice.Invalidf("attempt %d is not between 1 and %d", attempt, math.MaxUint32)
	}
	b := make([]byte, 0, len(id.Account)+1+len(id.Key)+attemptBytes)
	b = append(b, id.Account...)
	b = append(b, 0)
	b = append(b, id.Key...)
	if attempt <= 1 {
		return b, nil
	}
	return binary.BigEndian.AppendUint32(append(b, 0), uint32(attempt)), nil
}

// parseKey decodes what blobKey encoded.
func parseKey(b []byte) (account string, key logservice.Key, attempt int64) {
	name, rest, _ := bytes.Cut(b, []byte{0})
	text, number, later := bytes.Cut(rest, []byte{0})
	attempt = 1
	if later && len(number) == attemptBytes-1 {
		attempt = int64(binary.BigEndian.Uint32(number))
	}
	return string(name), logservice.Key(text), attempt
}

// record reads and copies the record at key.
func (c *catalog) record(key []byte) (rec record, err error) {
	err = c.view(func(tx *txn) error {
		value, err := tx.get(bucketBlobs, key)
		switch {
		case err != nil:
			return err
		case value == nil:
			return logservice.ErrBlobNotFound
		}
		if rec, err = decodeRecord(key, value); err != nil {
			return err
		}
		rec.inline = append([]byte(nil), rec.inline...)
		return nil
	})
	return rec, err
}

// attemptKeys returns the keys of all attempts of a log, by that of the first.
func (c *catalog) attemptKeys(first []byte) (keys [][]byte, err error) {
	err = c.view(func(tx *txn) error {
		return tx.attempts(first, func(key, _ []byte) { keys = append(keys, bytes.Clone(key)) })
	})
	return keys, err
}

// attempts calls yield with the records of all attempts of a log in order, where
// first is the key of its first one.
func (tx *txn) attempts(first []byte, yield func(key, value []byte)) error {
	found := false
	err := tx.scan(bucketBlobs, first, func(key, value []byte) bool {
		if !isAttempt(key, first) {
			return false
		}
		found = true
		yield(key, value)
		return true
	})
	if err == nil && !found { // looked for in more places
		var value []byte
		if value, err = tx.getWide(bucketBlobs, first); value != nil {
			yield(first, value)
		}
	}
	return err
}

func isAttempt(key, first []byte) bool {
	rest, ok := bytes.CutPrefix(key, first)
	return ok && (len(rest) == 0 || rest[0] == 0)
}

// printableKey returns a blob's key for messages.
func printableKey(b []byte) string {
	account, key, attempt := parseKey(b)
	return fmt.Sprintf("%s:%s attempt %d", account, key, attempt)
}

func checksum(key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
}
