package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// A blob file contains one blob and its identity:
//
//	chunks   of chunkSize raw bytes each (the last may have fewer), one after
//	         the other: unchanged, or each as one zstd frame
//	table    per chunk: stored length, CRC32C of the chunk (32 bits each)
//	key      of the record in the catalog
//	record   as in the catalog, where it names this file
//	footer   number of chunks, length of key, length of record (32 bits each),
//	         generation (64), CRC32C of table to generation (32), magic (32)
//
// Table to footer are one skippable zstd frame, so that `zstd -d` can read the
// file of a compressed blob. The bytes of an archive are stored unchanged from
// offset 0. Numbers are big-endian, except in the frame's header.
const (
	frameMagic  = 0x184D2A5C
	footerMagic = 0x6c6f6762 // "logb"
	frameHeader = 8
	footerSize  = 3*4 + 8 + 4 + 4
	tableEntry  = 8
	// maxTable limits what a damaged footer can make a reader load: the table
	// of a 2 TiB blob.
	maxTable = tableEntry << 23
	blobName = ".blob"
)

// blobWriter writes a blob file that nothing refers to yet.
type blobWriter struct {
	files      *blobFiles
	generation uint64
	file       file
	table      []byte
	buf        []byte
	written    int64 // since the last flush began
}

// flushStep is how much is written before the kernel is asked to start writing
// it to the disk: the sync at the end then only waits for the rest.
const flushStep = 8 << 20

func (b *blobFiles) createBlob() (*blobWriter, error) {
	w := &blobWriter{files: b, generation: b.generation.Add(1)}
	err := b.watch.do(func() (err error) {
		w.file, err = b.disk.Create(b.blobFile(w.generation))
		return err
	})
	if err != nil {
		return nil, b.writeFailed(err)
	}
	return w, nil
}

// add appends one chunk of raw bytes.
func (w *blobWriter) add(raw []byte, encoding byte) error {
	stored := raw
	if encoding == encodingZstd {
		w.buf = w.files.zip.enc.EncodeAll(raw, w.buf[:0])
		stored = w.buf
	}
	n := uint32(len(w.table) / tableEntry)
	w.table = binary.BigEndian.AppendUint32(w.table, uint32(len(stored)))
	w.table = binary.BigEndian.AppendUint32(w.table, checksum(chunkKey(w.generation, n), stored))
	if err := w.write(stored); err != nil {
		return err
	}
	if w.written += int64(len(stored)); w.written >= flushStep {
		w.written = 0
		beginFlush(w.file)
	}
	return nil
}

func (w *blobWriter) write(b []byte) error {
	return w.files.writeFailed(w.files.watch.do(func() error {
		n, err := w.file.Write(b)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		return err
	}))
}

// seal completes the file and makes its bytes durable, but not yet its name.
func (w *blobWriter) seal(key, record []byte) error {
	be := binary.BigEndian
	b := binary.LittleEndian.AppendUint32(nil, frameMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(w.table)+len(key)+len(record)+footerSize))
	b = append(append(append(b, w.table...), key...), record...)
	b = be.AppendUint32(b, uint32(len(w.table)/tableEntry))
	b = be.AppendUint32(b, uint32(len(key)))
	b = be.AppendUint32(b, uint32(len(record)))
	b = be.AppendUint64(b, w.generation)
	b = be.AppendUint32(b, checksum(nil, b[frameHeader:]))
	b = be.AppendUint32(b, footerMagic)
	if err := w.write(b); err != nil {
		return err
	}
	if err := w.files.watch.do(w.file.Sync); err != nil {
		return w.files.writeFailed(fmt.Errorf("sync failed: %w", err))
	}
	f := w.file
	w.file = nil
	return w.files.writeFailed(f.Close())
}

// discard removes the file.
func (w *blobWriter) discard() {
	if w.file != nil {
		_ = w.file.Close() // it is removed anyway
	}
	w.files.removeBlob(w.generation)
}

// trailer is the decoded end of a blob file.
type trailer struct {
	generation uint64
	table      []byte
	offsets    []int64 // of the chunks, and the end of the last one
	key        []byte
	record     []byte
}

// readTrailer reads and checks the end of a blob file.
func readTrailer(f file) (*trailer, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, readFailed(err)
	}
	var foot [footerSize]byte
	if err := readAt(f, foot[:], info.Size()-footerSize); err != nil {
		return nil, err
	}
	be := binary.BigEndian
	chunks, key, rec := int64(be.Uint32(foot[:])), int64(be.Uint32(foot[4:])), int64(be.Uint32(foot[8:]))
	size := chunks*tableEntry + key + rec + footerSize
	if be.Uint32(foot[footerSize-4:]) != footerMagic || size > info.Size()-frameHeader ||
		chunks*tableEntry > maxTable || key > maxKey || rec > maxRecord {
		return nil, fmt.Errorf("%w: the file does not end as it should", logs.ErrDamaged)
	}
	b := make([]byte, size)
	if err := readAt(f, b, info.Size()-size); err != nil {
		return nil, err
	}
	if checksum(nil, b[:size-8]) != be.Uint32(foot[footerSize-8:]) {
		return nil, fmt.Errorf("%w: the end of the file fails its checksum", logs.ErrDamaged)
	}
	t := &trailer{generation: be.Uint64(foot[12:]), table: b[:chunks*tableEntry]}
	t.key, t.record = b[len(t.table):][:key], b[int64(len(t.table))+key:][:rec]
	t.offsets = make([]int64, 1, chunks+1)
	for n := range chunks {
		t.offsets = append(t.offsets, t.offsets[n]+int64(be.Uint32(t.table[n*tableEntry:])))
	}
	if end := t.offsets[chunks]; end != info.Size()-size-frameHeader {
		return nil, fmt.Errorf("%w: the file has %d bytes of chunks where %d belong", logs.ErrDamaged, info.Size()-size-frameHeader, end)
	}
	return t, nil
}

// maxKey and maxRecord limit what is accepted from a footer.
const (
	maxKey    = logservice.MaxAccountBytes + 1 + logservice.MaxKeyBytes + attemptBytes
	maxRecord = 128
)

// chunk reads and checks chunk n as stored, in dst's memory if it fits.
func (t *trailer) chunk(f file, n int64, dst []byte) ([]byte, error) {
	if n+1 >= int64(len(t.offsets)) {
		return nil, fmt.Errorf("%w: missing", logs.ErrDamaged)
	}
	size := t.offsets[n+1] - t.offsets[n]
	if size > maxStored {
		return nil, fmt.Errorf("%w: chunk of %d bytes", logs.ErrDamaged, size)
	}
	if int64(cap(dst)) < size {
		dst = make([]byte, size)
	}
	dst = dst[:size]
	if err := readAt(f, dst, t.offsets[n]); err != nil {
		return nil, err
	}
	if checksum(chunkKey(t.generation, uint32(n)), dst) != binary.BigEndian.Uint32(t.table[n*tableEntry+4:]) {
		return nil, fmt.Errorf("%w: it fails its checksum", logs.ErrDamaged)
	}
	return dst, nil
}

// maxStored limits a stored chunk: zstd adds a few bytes to incompressible
// data.
const maxStored = chunkSize + 1<<10

func readAt(f io.ReaderAt, b []byte, offset int64) error {
	if offset < 0 {
		return fmt.Errorf("%w: the file is too short", logs.ErrDamaged)
	}
	if _, err := f.ReadAt(b, offset); err != nil {
		return readFailed(err)
	}
	return nil
}

// readFailed distinguishes permanent errors, such as a bad sector, from
// temporary ones.
func readFailed(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the file is too short", logs.ErrDamaged)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: %w", logs.ErrDamaged, err)
	}
	return &logservice.UnavailableError{Cause: err}
}
