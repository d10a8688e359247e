// Package archive implements the file format of finished logs.
//
// An archive is a valid zstd file: `zstd -d` outputs the log as JSON lines. It
// consists of, in this order:
//
//	content frames   about 256 KiB of lines each, compressed separately and
//	                 divided between lines, so that any line is read by
//	                 decompressing one of them
//	line index       a skippable frame, see index.go
//	seek table       a skippable frame in the zstd seekable format, version
//	                 0.1.0 (contrib/seekable_format in the zstd sources), so
//	                 that its tools can seek too; it lists the content frames
//	                 and the line index, as a frame without content
//
// Lost lines (a gap) are one line in a content frame of their own, for which
// the index records more sequences than one. Since only the index records it,
// no line sent by a client can pass as a gap.
//
// A plain archive is only the lines, so that other programs can read it without
// zstd. Its frames are not compressed, and its index is stored beside it.
//
// Every byte is covered by a checksum: CRC-32C over each compressed frame, over
// the index and over the whole content; the seek table must agree with the
// index. Damage is an error that names the part, never wrong lines.
package archive

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"

	"github.com/harness/log-service/internal/logs"
)

// Sizes of the format. The reader rejects everything beyond the limits, so that
// a malicious archive takes no more memory than a valid one.
const (
	// frameTarget is how many bytes of lines a frame holds. Smaller frames
	// compress worse (4 % at half the size); larger ones make reading one line
	// slower.
	frameTarget = 256 << 10
	// maxFrame limits the content of a frame. A line is never divided, so it is
	// also the longest line: the longest body of an append.
	maxFrame = 64 << 20
	// maxFrames limits the frames of an archive, and so the size of its index
	// in memory: 48 MiB, for a log of at least 128 GiB.
	maxFrames = 1 << 20
	// maxSequence limits sequences, so that their sums never overflow and
	// programs that store numbers as floating point read them exactly.
	maxSequence = 1 << 53
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Codec compresses and decompresses frames. It is safe for concurrent use. Its
// memory is limited by the number of processors, plus 16 MiB shared by readers.
type Codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder

	shared shared
}

// NewCodec returns a Codec. It starts no goroutines and need not be closed.
func NewCodec() *Codec {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		// No match can reach beyond its frame.
		zstd.WithWindowSize(frameTarget),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		panic(err) // the options are constants: a bug, not caused by input
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(maxFrame),
		// The index records the length of a frame; its content must fit
		// exactly.
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // as above
	}
	return &Codec{enc: enc, dec: dec}
}

// DamageError reports which part of an archive differs from what was written.
// It is logs.ErrDamaged.
type DamageError struct {
	Part string // for example "seek table", "frame 3 of 17"
	Why  string
}

func (e *DamageError) Error() string {
	return "archive damaged: " + e.Part + ": " + e.Why
}

func (e *DamageError) Unwrap() error { return logs.ErrDamaged }

func damaged(part, why string, args ...any) error {
	return &DamageError{Part: part, Why: fmt.Sprintf(why, args...)}
}

// Cause is what the readers of a log may know of its damage. The server's log
// has the rest, which may name files.
func Cause(err error) string {
	if bad, ok := errors.AsType[*DamageError](err); ok {
		return bad.Part + ": " + bad.Why
	}
	return "the store cannot read it"
}

// shortOr converts an end of input to damage: the archive must be longer.
func shortOr(part string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(part, "the file ends inside it")
	}
	return fmt.Errorf("archive: reading %s: %w", part, err)
}
