package grpcapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/grpc/mem"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/admission"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// smallMessage limits messages other than those of a push, decompressed: the
// largest has a key and some numbers.
const smallMessage = 16 << 10

// keepCompressed is a decompressor that leaves gzip compressed: gRPC would
// decompress a message before a handler can limit it.
type keepCompressed struct{}

// Type implements grpc.Decompressor.
func (keepCompressed) Type() string { return "gzip" }

// Do implements grpc.Decompressor.
func (keepCompressed) Do(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(r)
	if err == nil && !isGzip(b) {
		err = errors.New("not gzip")
	}
	return b, err
}

// isGzip reports whether a message is compressed. A plain message cannot begin
// like this: the first byte would be a tag with an unknown wire type.
func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b}) }

// incoming is a message of a push, which the codec leaves compressed.
type incoming struct {
	logservicev1.Incoming
	wire       int64  // bytes received
	compressed []byte // nil for a plain message
}

// codec accepts large messages only in a push.
type codec struct{ logservicev1.Codec }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	compressed := isGzip(head(data))
	if m, ok := v.(*incoming); ok {
		m.wire = int64(data.Len())
		if compressed {
			m.compressed = data.Materialize()
			return nil
		}
		return c.Codec.Unmarshal(data, &m.Incoming)
	}
	if compressed {
		b, err := inflateSmall(data)
		if err != nil {
			return err
		}
		data = mem.BufferSlice{mem.SliceBuffer(b)}
	}
	if data.Len() > smallMessage {
		return fmt.Errorf("a message of %d bytes: at most %d", data.Len(), smallMessage)
	}
	return c.Codec.Unmarshal(data, v)
}

// head returns the first two bytes of data, at least.
func head(data mem.BufferSlice) []byte {
	if len(data) == 0 {
		return nil
	}
	if b := data[0].ReadOnlyData(); len(b) >= 2 {
		return b
	}
	var b [2]byte
	r := data.Reader()
	defer r.Close()
	n, _ := io.ReadFull(r, b[:])
	return b[:n]
}

func inflateSmall(data mem.BufferSlice) ([]byte, error) {
	r := data.Reader()
	defer r.Close()
	z, err := unzippers.get(r)
	if err != nil {
		return nil, err
	}
	defer unzippers.put(z)
	return io.ReadAll(io.LimitReader(z, smallMessage+1))
}

// inflate decompresses a message of a push into a pooled buffer, which counts
// against the budget of account before it is allocated. The caller releases the
// buffer and the held bytes, also after an error.
func (p *push) inflate(ctx context.Context, account string, compressed []byte) (b []byte, held int64, err error) {
	z, err := unzippers.get(bytes.NewReader(compressed))
	if err != nil {
		return nil, 0, notGzip(err)
	}
	defer unzippers.put(z)
	for size := int64(len(compressed)); ; {
		if len(b) == cap(b) {
			if int64(len(b)) > p.message {
				return b, held, logservice.Errorf(logservice.ErrTooLarge, "a message of more than %d bytes, decompressed", p.message)
			}
			size = admission.BufferSize(4 * size)
			if err := p.budget.Take(ctx, account, size-held); err != nil {
				return b, held, err
			}
			held = size
			larger := append(p.buffers.Get(size), b...)
			p.buffers.Put(b)
			b = larger
		}
		n, err := z.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, held, nil
		}
		if err != nil {
			return b, held, notGzip(err)
		}
	}
}

func notGzip(err error) error {
	return logservice.Invalidf("the message is no gzip: %v", err)
}

// pool reuses decompressors: each has about 40 KiB.
type pool struct{ sync.Pool }

var unzippers pool

func (p *pool) get(r io.Reader) (*gzip.Reader, error) {
	z, _ := p.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	return z, z.Reset(r)
}

func (p *pool) put(z *gzip.Reader) { p.Put(z) }
