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

// Cursor reads the lines of an archive in order. It is used by one goroutine,
// and closed by it.
type Cursor struct {
	loader loader
	frame  int   // to be read next
	next   int64 // sequence to begin with
	slow   bool  // it was put back
}

// Cursor returns the lines behind the sequence after; what lies before is not
// read.
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

// Rewind puts x back to where the line after the sequence after comes next,
// and releases all that x holds until then.
func (x *Cursor) Rewind(after int64) {
	_ = x.loader.close() // read only: nothing can be lost
	x.loader.window, x.loader.ahead = nil, 0
	x.slow = true
	x.seek(after)
}

// Close lets go what is open of the source.
func (x *Cursor) Close() error { return x.loader.close() }

// Next returns the next batch, of about 256 KiB at most (longer only where a
// line is), and io.EOF after the last. Readers at the same place share the
// batch's memory: nobody may change it.
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

// load returns the content of the next frame. One that others are likely to
// read, or x again, is kept.
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

// Content reads length bytes of the content (JSON lines) from offset, or
// fewer where it ends; a negative length reads to the end. What lies before
// is not read. Read from beginning to end, the content is also checked as a
// whole. The reader is used by one goroutine, and closed by it.
func (r *Reader) Content(ctx context.Context, offset, length int64) io.ReadCloser {
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
	// The frame that the last byte lies in ends what is read of the file.
	if last := sort.Search(len(frames), func(i int) bool { return frames[i].raw+int64(frames[i].length) >= offset+rest }); last < len(frames) {
		c.loader.end = frames[last].offset + int64(frames[last].size)
	}
	return c
}

// Close lets go what is open of the source.
func (c *content) Close() error { return c.loader.close() }

type content struct {
	ctx    context.Context
	loader loader
	frame  int    // to be read next
	skip   int64  // bytes of it to pass over
	rest   int64  // bytes still to be given
	part   []byte // of them, those at hand
	buf    []byte // the frame that part lies in, reused
	whole  bool   // all content is read: check it
	crc    uint32
	err    error
}

func (c *content) Read(p []byte) (int, error) {
	for len(c.part) == 0 {
		if c.err == nil {
			c.err = c.load()
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.part)
	c.part = c.part[n:]
	return n, nil
}

// WriteTo spares io.Copy its buffer.
func (c *content) WriteTo(w io.Writer) (total int64, err error) {
	for {
		for len(c.part) == 0 {
			if c.err == nil {
				c.err = c.load()
			}
			if errors.Is(c.err, io.EOF) {
				return total, nil
			}
			if c.err != nil {
				return total, c.err
			}
		}
		n, err := w.Write(c.part)
		total += int64(n)
		c.part = c.part[n:]
		if err != nil {
			return total, err
		}
	}
}

func (c *content) load() error {
	if c.rest == 0 {
		if c.whole && c.crc != c.loader.r.index.content {
			return damaged("content", "its checksum does not match")
		}
		return io.EOF
	}
	raw, err := c.loader.load(c.ctx, c.frame, c.buf)
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
