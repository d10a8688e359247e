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

// maxWindow bounds what decompressing a client's blob holds in memory; the
// zstd program needs to be asked for more.
const maxWindow = 8 << 20

// What a client uploads past the service, through a link, may be compressed.
// No text begins with these bytes: both formats were made so.
var magics = []struct {
	encoding string
	magic    []byte
}{
	{encodingGzip, []byte{0x1f, 0x8b, 0x08}},
	{encodingZstd, []byte{0x28, 0xb5, 0x2f, 0xfd}},
}

// look finds out the encoding of a client's blob by its first bytes. What was
// read for that is not read again.
func (c *Content) look(ctx context.Context) error {
	raw, err := c.blob.Range(ctx, 0, -1)
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(raw, 4<<10)
	head, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, raw.Close())
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, m.magic) {
			c.Encoding, c.Size = m.encoding, -1
		}
	}
	c.begun = &looked{r, raw}
	return nil
}

// looked is a blob whose first bytes have been looked at.
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

// unpacked reads a client's compressed blob decompressed, from its beginning.
func (c *Content) unpacked(ctx context.Context) (io.ReadCloser, error) {
	raw, err := c.rangeOf(ctx, 0, -1)
	if err != nil {
		return nil, err
	}
	if c.Encoding == encodingGzip {
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		return &unpacking{z, raw}, nil
	}
	z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return &unpacking{z.IOReadCloser(), raw}, nil
}

// unpacking closes what it reads, too.
type unpacking struct {
	io.ReadCloser
	raw io.Closer
}

func (u *unpacking) Close() error { return errors.Join(u.ReadCloser.Close(), u.raw.Close()) }
