package service

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The encodings of Content.Encoding, as HTTP calls them.
const (
	encodingGzip = "gzip"
	encodingZstd = "zstd"
)

// maxWindow bounds the memory for decompressing a client's blob; the zstd
// program uses more only if requested.
const maxWindow = 8 << 20

// headSize is how much of a blob is examined to determine its encoding.
const headSize = 4 << 10

// look determines the encoding of a client's blob from its first bytes, which
// are not read again. A blob whose beginning is damaged has none.
func (c *Content) look(ctx context.Context) error {
	raw, err := c.blob.Range(ctx, 0, -1)
	if err != nil {
		return skipDamage(err)
	}
	r := bufio.NewReaderSize(raw, headSize)
	head, err := r.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) && !isDamage(err) {
		return errors.Join(err, raw.Close())
	}
	if encoding := encodingOf(head); encoding != "" {
		c.Encoding, c.packed, c.Size = encoding, encoding, -1
	}
	c.begun = &looked{r, raw}
	return nil
}

// encodingOf returns the encoding of a blob that begins with head. Two magic
// bytes prove nothing: the whole header must be valid, for zstd including that
// of the first block. No text begins with one.
func encodingOf(head []byte) string {
	var frame zstd.Header
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 0x08}):
		z, err := gzip.NewReader(bytes.NewReader(head))
		if err == nil {
			_ = z.Close() // of the header alone
			return encodingGzip
		}
	case frame.Decode(head) == nil && !frame.Skippable && frame.FirstBlock.OK &&
		max(frame.FirstBlock.CompressedSize, frame.FirstBlock.DecompressedSize) <= zstdBlock:
		return encodingZstd
	}
	return ""
}

// zstdBlock is the largest block (RFC 8878, 3.1.1.2.4).
const zstdBlock = 128 << 10

// skipDamage leaves damage to readers of the bytes.
func skipDamage(err error) error {
	if isDamage(err) {
		return nil
	}
	return err
}

// looked is a blob whose first bytes were examined.
type looked struct {
	*bufio.Reader
	io.Closer
}

// rangeOf reads the blob as it is stored.
func (c *Content) rangeOf(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if r := c.begun; r != nil {
		c.begun = nil
		if offset == 0 && (length < 0 || length >= c.stored()) {
			return r, nil
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	return c.blob.Range(ctx, offset, length)
}

// unpacked reads a compressed blob decompressed, from its beginning.
func (c *Content) unpacked(ctx context.Context) (io.ReadCloser, error) {
	raw, err := c.rangeOf(ctx, 0, -1)
	if err != nil {
		return nil, err
	}
	u := &unpacking{encoding: c.packed, raw: source{ReadCloser: raw}}
	if u.z, err = unpacker(c.packed, &u.raw); err != nil {
		return nil, errors.Join(u.explain(err), raw.Close())
	}
	return u, nil
}

func unpacker(encoding string, r io.Reader) (io.ReadCloser, error) {
	if encoding == encodingGzip {
		return gzip.NewReader(r)
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// unpacking distinguishes damage of compressed bytes from errors of their
// source, whatever the decoder reports.
type unpacking struct {
	encoding string
	z        io.ReadCloser
	raw      source
	err      error // of z
}

// source remembers why it ended early.
type source struct {
	io.ReadCloser
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (u *unpacking) Read(p []byte) (int, error) {
	n, err := u.z.Read(p)
	if err != nil && u.err == nil {
		u.err = u.explain(err)
		if n == 0 && isDamage(u.err) {
			n, _ = u.z.Read(p) // zstd still has the block before a checksum that is wrong or missing
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, u.err
}

func (u *unpacking) explain(err error) error {
	switch {
	case u.raw.err != nil:
		return u.raw.err
	case errors.Is(err, io.EOF):
		return err
	}
	return &unpackError{u.encoding, err}
}

func (u *unpacking) Close() error { return errors.Join(u.z.Close(), u.raw.Close()) }
