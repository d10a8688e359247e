package load

import (
	"github.com/klauspost/compress/zstd"
)

// frameBytes is the raw size of a frame of an archive, and so of what the
// reference compresses at a time.
const frameBytes = 256 << 10

// Compressed is the size of raw in independent zstd frames.
func Compressed(raw []byte, level zstd.EncoderLevel) (size int, err error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	var out []byte
	for len(raw) > 0 {
		n := min(frameBytes, len(raw))
		out = enc.EncodeAll(raw[:n], out[:0])
		size += len(out)
		raw = raw[n:]
	}
	return size, enc.Close()
}
