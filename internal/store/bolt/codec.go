package bolt

import (
	"fmt"
	"runtime"

	"github.com/klauspost/compress/zstd"

	"github.com/harness/log-service/internal/logs"
)

// codec compresses and expands chunks. It is safe for concurrent use: coders
// are taken from a pool as large as the number of processors. It has no
// goroutines and need not be closed.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (*codec, error) {
	n := runtime.GOMAXPROCS(0)
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(n),
		zstd.WithWindowSize(chunkSize),
		zstd.WithEncoderCRC(false), // chunks and records have their own
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(n),
		zstd.WithDecoderLowmem(true),
		// No valid chunk is larger, and a damaged one must not take memory.
		zstd.WithDecoderMaxMemory(chunkSize))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return &codec{enc: enc, dec: dec}, nil
}

// shrink appends raw to dst, compressed if that saves at least a sixteenth:
// less is not worth expanding it at each read.
func (c *codec) shrink(dst, raw []byte) ([]byte, byte) {
	n := len(dst)
	dst = c.enc.EncodeAll(raw, dst)
	if len(dst)-n <= len(raw)-len(raw)/16 && len(raw) >= 16 {
		return dst, encodingZstd
	}
	return append(dst[:n], raw...), encodingRaw
}

// expand appends the raw form of stored to dst and checks that it has want
// bytes, at most chunkSize.
func (c *codec) expand(dst, stored []byte, encoding byte, want int) ([]byte, error) {
	n := len(dst)
	switch encoding {
	case encodingRaw:
		dst = append(dst, stored...)
	case encodingZstd:
		var err error
		if dst, err = c.dec.DecodeAll(stored, dst); err != nil {
			return nil, fmt.Errorf("%w: %v", logs.ErrDamaged, err)
		}
	default:
		return nil, fmt.Errorf("%w: unknown encoding %d", logs.ErrDamaged, encoding)
	}
	if len(dst)-n != want {
		return nil, fmt.Errorf("%w: %d bytes where %d belong", logs.ErrDamaged, len(dst)-n, want)
	}
	return dst, nil
}
