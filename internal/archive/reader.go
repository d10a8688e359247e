package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/harness/log-service/internal/logs"
)

// Source is where an archive is stored, for example a blob of a store. Range
// reads length bytes from offset, or fewer if the source ends earlier. It is
// safe for concurrent use.
type Source interface {
	Range(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

// Read sizes. Each ranged read may be a request to another machine, so one
// should suffice for the end of most archives and for small ones as a whole.
// Sequential reads become larger; beyond maxAhead they use a single range to
// the end.
const (
	minTail  = 16 << 10
	minAhead = 64 << 10
	maxAhead = 512 << 10
)

// Reader reads an archive. Its methods are safe for concurrent use.
type Reader struct {
	codec *Codec
	src   Source
	index *index
	used  bool // by other readers too, when it was opened
}

// Open reads and checks the end of the archive of size bytes in src. A
// *DamageError means that it is not an archive, or is damaged; other errors are
// those of src.
func (c *Codec) Open(ctx context.Context, src Source, size int64) (*Reader, error) {
	// The index and the seek table take some 20 bytes per frame, and the frames
	// of real logs have 20 KiB or more.
	n := min(size, minTail+size/512)
	tail, err := readRange(ctx, src, size-n, n, "seek table")
	if err != nil {
		return nil, err
	}
	end, err := parseEnd(tail, size)
	if err != nil {
		return nil, err
	}
	need := end.index + end.table
	if need > n {
		if tail, err = readRange(ctx, src, size-need, need, "line index"); err != nil {
			return nil, err
		}
	}
	at := int64(len(tail)) - need
	x, err := parseIndex(tail[at : at+end.index])
	if err != nil {
		return nil, err
	}
	if err := x.checkSeekTable(tail[at+end.index:], end.index); err != nil {
		return nil, err
	}
	if x.plain() {
		return nil, damaged("line index", "it is that of a plain archive")
	}
	if x.size != size-need {
		return nil, damaged("file", "it has %d bytes, not %d", size, x.size+need)
	}
	if n == size {
		x.whole = tail
	}
	return c.reader(src, x), nil
}

// OpenPlain opens a plain archive of size bytes in src with its index, as
// returned by Writer.Index. A *DamageError means that they do not match.
func (c *Codec) OpenPlain(src Source, size int64, index []byte) (*Reader, error) {
	x, err := parseIndex(index)
	switch {
	case err != nil:
		return nil, err
	case !x.plain():
		return nil, damaged("line index", "it is not that of a plain archive")
	case x.size != size:
		return nil, damaged("file", "it has %d bytes, not %d", size, x.size)
	}
	return c.reader(src, x), nil
}

func (c *Codec) reader(src Source, x *index) *Reader {
	r := &Reader{codec: c, src: src}
	r.index, r.used = c.shared.index(x)
	return r
}

// ending is the length in bytes of the last two frames of an archive.
type ending struct {
	index int64
	table int64
}

// parseEnd reads the last bytes of the seek table, which determine where it and
// the line index begin.
func parseEnd(tail []byte, size int64) (ending, error) {
	const part = "seek table"
	const least = skippableHeader + seekEntrySize + seekFooterSize
	if len(tail) < least {
		return ending{}, damaged(part, "the file of %d bytes is too short for one", size)
	}
	foot := tail[len(tail)-seekFooterSize:]
	if binary.LittleEndian.Uint32(foot[5:]) != seekableMagic {
		return ending{}, damaged(part, "the file does not end in one")
	}
	n := int64(binary.LittleEndian.Uint32(foot))
	if n < 1 || n > maxFrames+1 || foot[4] != 0 {
		return ending{}, damaged(part, "%d frames or the descriptor %#x cannot be", n, foot[4])
	}
	last := tail[len(tail)-seekFooterSize-seekEntrySize:]
	e := ending{
		index: int64(binary.LittleEndian.Uint32(last)),
		table: skippableHeader + n*seekEntrySize + seekFooterSize,
	}
	if e.index > maxIndex || e.index+e.table > size {
		return ending{}, damaged(part, "%d frames and a line index of %d bytes do not fit the file", n, e.index)
	}
	return e, nil
}

// maxIndex limits the line index: a frame takes at most 8 + 4 + 5 + 4 bytes.
const maxIndex = 64 + maxFrames*21

// Summary describes the archive.
func (r *Reader) Summary() logs.Summary { return r.index.summary() }

// readRange reads exactly length bytes.
func readRange(ctx context.Context, src Source, offset, length int64, part string) ([]byte, error) {
	rc, err := src.Range(ctx, offset, length)
	if err != nil {
		return nil, shortOr(part, err)
	}
	defer rc.Close()
	b := make([]byte, length)
	if _, err := io.ReadFull(rc, b); err != nil {
		return nil, shortOr(part, err)
	}
	return b, nil
}

// loader reads frames, preferably in order: it reads ahead.
type loader struct {
	r      *Reader
	end    int64  // of the range that may be needed, in the file
	window []byte // frames as stored
	offset int64  // of the window in the file
	ahead  int64  // bytes to read next

	stream io.ReadCloser   // from at to end; nil until that pays off
	ctx    context.Context // context of the stream
	at     int64
}

// close closes the stream.
func (l *loader) close() error {
	if l.stream == nil {
		return nil
	}
	err := l.stream.Close()
	l.stream = nil
	return err
}

// load returns the content of frame i, in dst's memory if it fits.
func (l *loader) load(ctx context.Context, i int, dst []byte) ([]byte, error) {
	f := &l.r.index.frames[i]
	compressed, err := l.compressed(ctx, i)
	if err != nil {
		return nil, err
	}
	part := func() string { return framePart(i, len(l.r.index.frames)) }
	if crc32.Checksum(compressed, castagnoli) != f.crc {
		return nil, damaged(part(), "its checksum does not match")
	}
	if cap(dst) < int(f.length) {
		dst = make([]byte, 0, f.length)
	}
	var raw []byte
	if l.r.index.plain() {
		raw = append(dst[:0], compressed...)
	} else {
		// The capacity limits what is decompressed.
		raw, err = l.r.codec.dec.DecodeAll(compressed, dst[:0:f.length])
	}
	switch {
	case errors.Is(err, zstd.ErrDecoderClosed):
		return nil, err
	case err != nil:
		return nil, damaged(part(), "%v", err)
	case len(raw) != int(f.length) || raw[len(raw)-1] != '\n':
		return nil, damaged(part(), "its content is not what the line index says")
	}
	if n := int64(bytes.Count(raw, newline)); (f.gap && n != 1) || (!f.gap && n != f.count) {
		return nil, damaged(part(), "it has %d lines, the line index says %d", n, f.count)
	}
	return raw, nil
}

// compressed returns the bytes of frame i as stored, valid until the next call.
func (l *loader) compressed(ctx context.Context, i int) ([]byte, error) {
	frames := l.r.index.frames
	f := &frames[i]
	size := int64(f.size)
	if l.r.index.whole != nil {
		return l.r.index.whole[f.offset : f.offset+size], nil
	}
	if at := f.offset - l.offset; at >= 0 && at+size <= int64(len(l.window)) {
		return l.window[at : at+size], nil
	}
	l.ahead = min(max(2*l.ahead, minAhead), maxAhead)
	length := size
	for _, g := range frames[i+1:] {
		if length+int64(g.size) > l.ahead || g.offset+int64(g.size) > l.end {
			break
		}
		length += int64(g.size)
	}
	l.window = nil // not kept together with the next
	window, err := l.read(ctx, f.offset, length, framePart(i, len(frames)))
	if length > size && logs.IsDamage(err) {
		// It may be that of a later frame: this one is read alone.
		_ = l.close() // read-only: nothing can be lost
		l.ahead = 0
		window, err = readRange(ctx, l.r.src, f.offset, size, framePart(i, len(frames)))
	}
	if err != nil {
		return nil, err
	}
	l.window, l.offset = window, f.offset
	return window[:size], nil
}

// read reads exactly length bytes from offset.
func (l *loader) read(ctx context.Context, offset, length int64, part string) ([]byte, error) {
	if l.stream != nil && (l.at != offset || l.ctx.Err() != nil) {
		_ = l.close() // read-only: nothing can be lost
	}
	if l.stream == nil {
		if l.ahead < maxAhead || length > l.end-offset {
			return readRange(ctx, l.r.src, offset, length, part)
		}
		stream, err := l.r.src.Range(ctx, offset, l.end-offset)
		if err != nil {
			return nil, shortOr(part, err)
		}
		l.stream, l.ctx, l.at = stream, ctx, offset
	}
	b := make([]byte, length)
	n, err := io.ReadFull(l.stream, b)
	l.at += int64(n)
	if err != nil {
		return nil, shortOr(part, err)
	}
	return b, nil
}
