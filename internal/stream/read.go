package stream

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/klauspost/compress/zstd"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// windowBytes is the largest range of a segment that one read covers: a
// stream's records lie among those of others.
const windowBytes = 512 << 10

// read turns entries into batches: those in memory as they are, those on disk
// read back, adjacent ones with one read and as one batch. A damaged record
// becomes a gap. If it returns no batches and no error, a segment was replaced
// meanwhile, and the index must be read again.
func (e *Engine) read(s *stream, entries []entry) ([]*logs.Batch, error) {
	batches := make([]*logs.Batch, 0, len(entries))
	for len(entries) > 0 {
		if b := entries[0].batch; b != nil {
			batches = append(batches, b)
			entries = entries[1:]
			continue
		}
		b, err := e.load(s, entries[:window(entries)])
		if b == nil || err != nil {
			return batches, err
		}
		batches = append(batches, b)
		n := 0
		for n < len(entries) && entries[n].next() <= b.Next() {
			n++
		}
		entries = entries[n:]
	}
	return batches, nil
}

// load reads adjacent entries of one segment back as one batch, up to the first
// damaged record, which becomes a gap of its own. If it returns no batch and no
// error, the segment was replaced meanwhile.
func (e *Engine) load(s *stream, entries []entry) (*logs.Batch, error) {
	b, err := e.readBack(s, entries)
	if !errors.Is(err, os.ErrClosed) {
		return b, err
	}
	select {
	case <-e.quit:
		return nil, &logservice.UnavailableError{Cause: errors.New("the server is stopping")}
	default:
		return nil, nil
	}
}

// window is how many of the entries one read can cover.
func window(entries []entry) int {
	first := &entries[0]
	n := 1
	for ; n < len(entries) && !first.compacted(); n++ {
		x := &entries[n]
		end := int64(x.off) + recordHeader + int64(x.size)
		if x.batch != nil || x.compacted() || x.seg != first.seg || x.off < first.off || end-int64(first.off) > windowBytes {
			break
		}
	}
	return n
}

// readBack reads adjacent entries of one segment into one batch, up to the
// first damaged record, which becomes a gap of its own.
func (e *Engine) readBack(s *stream, entries []entry) (*logs.Batch, error) {
	first := &entries[0]
	buf, err := readRecords(entries)
	if isDamage(err) && len(entries) > 1 { // somewhere: the caller reads the rest again
		return e.readBack(s, entries[:len(entries)/2])
	}
	if isDamage(err) { // of one record, only if it happens twice
		buf, err = readRecords(entries)
	}
	switch {
	case isDamage(err):
		if !e.damaged(s, first, err) {
			return nil, os.ErrClosed
		}
		return logs.NewGap(first.first, int64(first.count)), nil
	case errors.Is(err, os.ErrClosed):
		return nil, err
	case err != nil:
		return nil, &logservice.UnavailableError{Cause: err}
	}
	b := &logs.Batch{First: first.first}
	w := 0 // the data moves over the headers, within one buffer
	for i := range entries {
		x := &entries[i]
		data, ok := s.dataOf(x, buf[x.off-first.off:])
		if !ok {
			if !e.damaged(s, x, errChecksum) {
				return nil, os.ErrClosed
			}
			if i == 0 {
				return logs.NewGap(x.first, int64(x.count)), nil
			}
			break
		}
		if x.compacted() { // alone in its window
			b.Data, b.Count = data, int64(x.count)
			return b, nil
		}
		w += copy(buf[w:], data)
		b.Count += int64(x.count)
	}
	b.Data = buf[:w]
	return b, nil
}

// readRecords reads the records of adjacent entries.
func readRecords(entries []entry) ([]byte, error) {
	first, last := &entries[0], &entries[len(entries)-1]
	buf := make([]byte, int64(last.off)+recordHeader+int64(last.size)-int64(first.off))
	_, err := first.seg.file.ReadAt(buf, int64(first.off))
	return buf, err
}

var errChecksum = errors.New("its checksum does not match")

// transient are read errors that imply nothing about what is stored.
var transient = []error{
	os.ErrClosed, syscall.EINTR, syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE,
}

// isDamage reports whether a read failed because of what is stored: a sector
// that the disk cannot read is as lost as a corrupted one.
func isDamage(err error) bool {
	if err == nil {
		return false
	}
	return !slices.ContainsFunc(transient, func(p error) bool { return errors.Is(err, p) })
}

// dataOf checks the record in buf against its entry in the index, and returns
// its data.
func (s *stream) dataOf(x *entry, buf []byte) ([]byte, bool) {
	r, ok := parseRecord(buf)
	if !ok || r.stream != s.num || r.first != x.first || r.count != x.count || r.size != x.size {
		return nil, false
	}
	data, ok := r.parseData(buf)
	if ok && r.kind == kindCompacted {
		return s.eng.decompress(data, r.next)
	}
	return data, ok && r.kind == kindLines
}

// maxRaw limits the bytes of a compacted block before compression: at most one
// long line exceeds compactedBytes.
const maxRaw = 128 << 20

// codec returns the encoder and decoder of compacted blocks.
func codec() (*zstd.Encoder, *zstd.Decoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxRaw))
	return enc, dec, err
}

func (e *Engine) decompress(data []byte, size int64) ([]byte, bool) {
	if size < 0 || size > maxRaw {
		return nil, false
	}
	out, err := e.decoder.DecodeAll(data, make([]byte, 0, size))
	return out, err == nil && int64(len(out)) == size
}

// damaged notes that a record cannot be read. Its segment's file is kept
// forever, whatever happens to its streams. It returns false if the file was
// reused since the index was read, so that the record is no longer the
// segment's.
func (e *Engine) damaged(s *stream, x *entry, cause error) bool {
	e.wal.segMu.Lock()
	if x.seg.gone {
		e.wal.segMu.Unlock()
		return false
	}
	known := x.seg.damaged
	x.seg.damaged = true
	e.wal.segMu.Unlock()
	e.metrics.damaged.Inc()
	if !known {
		e.log.Error("damaged record in the write-ahead log: readers get a gap for its lines, and the file is kept",
			"segment", x.seg.name, "offset", x.off, "log", s.id.String(), "first", x.first, "lines", x.count, "error", cause)
	}
	return true
}
