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

// windowBytes is how far one read of a segment reaches at most: a stream's
// records lie among those of others.
const windowBytes = 512 << 10

// read turns entries into batches: those in memory as they are, those on
// disk read back, neighbours with one read and as one batch. A record that
// is damaged comes as a gap. No batches and no error: a segment was replaced
// meanwhile, and the index must be asked again.
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

// load reads neighbouring entries of one segment back as one batch, up to the
// first damaged record, which comes as a gap of its own. No batch and no error:
// their segment was replaced meanwhile.
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

// window is how many of the entries can be read with one read.
func window(entries []entry) int {
	first := &entries[0]
	n := 1
	for ; n < len(entries) && !first.packed(); n++ {
		x := &entries[n]
		end := int64(x.off) + recordHeader + int64(x.size)
		if x.batch != nil || x.packed() || x.seg != first.seg || x.off < first.off || end-int64(first.off) > windowBytes {
			break
		}
	}
	return n
}

// readBack reads neighbouring entries of one segment into one batch: up to
// the first damaged record, which comes as a gap of its own.
func (e *Engine) readBack(s *stream, entries []entry) (*logs.Batch, error) {
	first := &entries[0]
	buf, err := readRecords(entries)
	if isDamage(err) && len(entries) > 1 { // somewhere: the caller asks for the rest again
		return e.readBack(s, entries[:len(entries)/2])
	}
	if isDamage(err) { // of one record only when it happens twice
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
	w := 0 // the data moves down over the headers: one buffer, no copy elsewhere
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
		if x.packed() { // alone in its window
			b.Data, b.Count = data, int64(x.count)
			return b, nil
		}
		w += copy(buf[w:], data)
		b.Count += int64(x.count)
	}
	b.Data = buf[:w]
	return b, nil
}

// readRecords reads the records of neighbouring entries.
func readRecords(entries []entry) ([]byte, error) {
	first, last := &entries[0], &entries[len(entries)-1]
	buf := make([]byte, int64(last.off)+recordHeader+int64(last.size)-int64(first.off))
	_, err := first.seg.file.ReadAt(buf, int64(first.off))
	return buf, err
}

var errChecksum = errors.New("its checksum does not match")

// passing are the errors of a read that say nothing about what is stored.
var passing = []error{
	os.ErrClosed, syscall.EINTR, syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE,
}

// isDamage reports whether a read failed because of what it should read: a
// sector that the disk cannot read is as lost as one that it has changed.
func isDamage(err error) bool {
	if err == nil {
		return false
	}
	return !slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) })
}

// dataOf checks the record in buf against the entry that led to it.
func (s *stream) dataOf(x *entry, buf []byte) ([]byte, bool) {
	r, ok := parseRecord(buf)
	if !ok || r.stream != s.num || r.first != x.first || r.count != x.count || r.size != x.size {
		return nil, false
	}
	data, ok := r.parseData(buf)
	if ok && r.kind == kindPack {
		return s.eng.unpack(data, r.next)
	}
	return data, ok && r.kind == kindLines
}

// maxRaw bounds what a pack may hold before compression; one long line is
// the most that is ever in it beyond packBytes.
const maxRaw = 128 << 20

// codec makes the two halves of the packs' compression.
func codec() (*zstd.Encoder, *zstd.Decoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxRaw))
	return enc, dec, err
}

func (e *Engine) unpack(data []byte, size int64) ([]byte, bool) {
	if size < 0 || size > maxRaw {
		return nil, false
	}
	out, err := e.unpacker.DecodeAll(data, make([]byte, 0, size))
	return out, err == nil && int64(len(out)) == size
}

// damaged notes that a record cannot be read. Its segment is kept on disk
// for good, whatever becomes of its streams. False: it is none of its segment
// any more, whose file was used again since the index was asked.
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
