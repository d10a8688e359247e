package archive

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"github.com/harness/log-service/internal/logs"
)

func framePart(i, n int) string { return fmt.Sprintf("frame %d of %d", i+1, n) }

// Cursor reads the lines of an archive in order. It is used and closed by one
// goroutine.
type Cursor struct {
	loader loader
	frame  int   // to be read next
	next   int64 // first sequence to return
	slow   bool  // it was rewound
}

// Cursor returns a cursor for the lines after sequence after; lines before that
// are not read.
func (r *Reader) Cursor(after int64) *Cursor {
	x := &Cursor{loader: loader{r: r, end: r.index.size}}
	x.seek(after)
	return x
}

func (x *Cursor) seek(after int64) {
	ix := x.loader.r.index
	x.next = max(after+1, ix.first)
	x.frame = sort.Search(len(ix.frames), func(i int) bool { return ix.frames[i].next() > x.next })
}

// Rewind moves x back to just after the sequence after, and releases everything
// that x holds until the next call.
func (x *Cursor) Rewind(after int64) {
	_ = x.loader.close() // read-only: nothing can be lost
	x.loader.window, x.loader.ahead = nil, 0
	x.slow = true
	x.seek(after)
}

// Close closes what is open of the source.
func (x *Cursor) Close() error { return x.loader.close() }

// Next returns the next batch, of at most about 256 KiB (more only if a single
// line is longer), or io.EOF after the last one. Readers at the same position
// share the batch's memory: it must not be changed. After an error that is
// logs.ErrDamaged, Skip passes over the lines that cannot be read.
func (x *Cursor) Next(ctx context.Context) (*logs.Batch, error) {
	frames := x.loader.r.index.frames
	if x.frame >= len(frames) {
		return nil, io.EOF
	}
	f := &frames[x.frame]
	data, err := x.load(ctx)
	if err != nil {
		return nil, err
	}
	b := &logs.Batch{First: f.first, Count: f.count, Data: data, Gap: f.gap}
	first := x.next
	x.frame, x.next = x.frame+1, f.next()
	return b.From(first), nil
}

// Skip passes over the lines of the next frame and returns which they are.
func (x *Cursor) Skip() (first, count int64) {
	f := &x.loader.r.index.frames[x.frame]
	first = x.next
	x.frame, x.next = x.frame+1, f.next()
	return first, x.next - first
}

// load returns the content of the next frame. A frame that others, or x again,
// are likely to read is cached.
func (x *Cursor) load(ctx context.Context) ([]byte, error) {
	r := x.loader.r
	if data := r.codec.shared.frame(r.index, x.frame); data != nil {
		return data, nil
	}
	data, err := x.loader.load(ctx, x.frame, nil)
	if err == nil && (x.slow || r.used) {
		r.codec.shared.keep(r.index, x.frame, data)
	}
	return data, err
}

// Lost is a part of the content that cannot be read.
type Lost struct {
	First, Count int64 // the sequences of its lines
	Bytes        int
	Err          error
}

// Readable is Content, except that damaged parts are replaced by what fill
// returns. Unless all content is read, that must have as many bytes.
func (r *Reader) Readable(ctx context.Context, offset, length int64, fill func(Lost) []byte) io.ReadCloser {
	c := r.content(ctx, offset, length)
	c.fill = fill
	return c
}

// Content returns a reader of length bytes of the content (JSON lines) from
// offset, or fewer if it ends earlier; a negative length reads to the end.
// Nothing before offset is read. If it is read from beginning to end, the
// content is also checked as a whole. The reader is used and closed by one
// goroutine.
func (r *Reader) Content(ctx context.Context, offset, length int64) io.ReadCloser {
	return r.content(ctx, offset, length)
}

func (r *Reader) content(ctx context.Context, offset, length int64) *content {
	offset = min(max(offset, 0), r.index.raw)
	rest := r.index.raw - offset
	if length >= 0 {
		rest = min(rest, length)
	}
	frames := r.index.frames
	i := sort.Search(len(frames), func(i int) bool { return frames[i].raw+int64(frames[i].length) > offset })
	c := &content{ctx: ctx, loader: loader{r: r}, frame: i, rest: rest, whole: rest == r.index.raw}
	if i < len(frames) {
		c.skip = offset - frames[i].raw
	}
	// The frame with the last byte is the end of what is read from the file.
	if last := sort.Search(len(frames), func(i int) bool { return frames[i].raw+int64(frames[i].length) >= offset+rest }); last < len(frames) {
		c.loader.end = frames[last].offset + int64(frames[last].size)
	}
	return c
}

// Close closes what is open of the source.
func (c *content) Close() error { return c.loader.close() }

type content struct {
	ctx    context.Context
	loader loader
	frame  int               // to be read next
	skip   int64             // bytes of it to skip
	rest   int64             // bytes still to return
	part   []byte            // those that are decompressed
	buf    []byte            // the frame that contains part, reused
	whole  bool              // all content is read: check it
	fill   func(Lost) []byte // nil: damage is an error
	crc    uint32
	err    error
}

func (c *content) Read(p []byte) (int, error) {
	if err := c.refill(); err != nil {
		return 0, err
	}
	n := copy(p, c.part)
	c.part = c.part[n:]
	return n, nil
}

// WriteTo avoids the buffer of io.Copy.
func (c *content) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := c.refill(); errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(c.part)
		total += int64(n)
		c.part = c.part[n:]
		if err != nil {
			return total, err
		}
	}
}

// refill decompresses the next frame once all of part was returned.
func (c *content) refill() error {
	for len(c.part) == 0 && c.err == nil {
		c.err = c.load()
	}
	if len(c.part) > 0 {
		return nil
	}
	return c.err
}

func (c *content) load() error {
	if c.rest == 0 {
		if c.whole && c.crc != c.loader.r.index.content {
			return damaged("content", "its checksum does not match")
		}
		return io.EOF
	}
	raw, err := c.loader.load(c.ctx, c.frame, c.buf)
	if c.fill != nil && logs.IsDamage(err) {
		f := &c.loader.r.index.frames[c.frame]
		raw = c.fill(Lost{First: f.first, Count: f.count, Bytes: int(f.length), Err: err})
		if c.whole = false; len(raw) != int(f.length) { // all is read: nothing to skip or to cut
			c.frame++
			c.part, c.rest = raw, c.rest-int64(f.length)
			return nil
		}
		err = nil
	}
	if err != nil {
		return err
	}
	if c.whole {
		c.crc = crc32.Update(c.crc, castagnoli, raw)
	}
	c.buf = raw
	c.frame++
	c.part = raw[c.skip:]
	c.skip = 0
	if int64(len(c.part)) > c.rest {
		c.part = c.part[:c.rest]
	}
	c.rest -= int64(len(c.part))
	return nil
}
