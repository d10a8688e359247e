// Package archive is the file format of a finished log, and reads it.
//
// An archive is a valid zstd file: `zstd -d` gives the log as JSON lines.
// Inside, in this order:
//
//	content frames   about 256 KiB of lines each, compressed on their own and
//	                 cut between lines, so that any line is reached by
//	                 decompressing one of them
//	line index       a skippable frame, see index.go
//	seek table       a skippable frame in the zstd seekable format, version
//	                 0.1.0 (contrib/seekable_format in the zstd sources), so
//	                 that its tools can seek too; it lists the content frames
//	                 and the line index, as a frame without content
//
// Lines that are gone (a gap) are one line in a content frame of its own,
// which the index says stands for more sequences than one. Since only the
// index says so, no line that a client sends can pass for a gap.
//
// A plain archive is the lines alone, for other programs to read without
// zstd; its frames are not compressed, and its index is kept beside it.
//
// Every byte is under a checksum: CRC-32C over each compressed frame, over
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
)

// Sizes of the format. The reader refuses what lies beyond the limits, so
// that an archive made to do harm takes no more memory than an honest one.
const (
	// frameTarget is how many bytes of lines go into a frame. Smaller frames
	// compress worse (4 % at half the size), larger ones make a read of one
	// line slower.
	frameTarget = 256 << 10
	// maxFrame bounds the content of a frame. A line is never split, so it
	// is also the longest line: as long as the longest body of an append.
	maxFrame = 64 << 20
	// maxFrames bounds the frames of an archive, and with them its index in
	// memory: 48 MiB, for a log of 128 GiB or more.
	maxFrames = 1 << 20
	// maxSequence bounds sequences, so that their sums never overflow and
	// programs that keep numbers as floating point read them exactly.
	maxSequence = 1 << 53
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Codec compresses and decompresses frames, for any number of writers and
// readers at once; its memory is bounded by the number of processors, and 16 MiB for what
// readers share.
type Codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder

	shared shared
}

// NewCodec returns a Codec. It starts no goroutine and needs no closing.
func NewCodec() *Codec {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		// No match can reach further back than its frame.
		zstd.WithWindowSize(frameTarget),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		panic(err) // the options are constants: a bug here, no input's fault
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(maxFrame),
		// A frame says how long it is; what it then writes must fit exactly.
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // as above
	}
	return &Codec{enc: enc, dec: dec}
}

// Summary describes a whole archive.
type Summary struct {
	First   int64 // the sequence of the first line
	Next    int64 // the sequence behind the last one
	Lines   int64 // of the content; a gap is one
	RawSize int64 // of the content in bytes
	// Incomplete marks the archive of a log whose writer went silent.
	Incomplete bool
	Checksum   uint32 // CRC-32C of the content
}

// DamageError says which part of an archive is not as it was written.
type DamageError struct {
	Part string // for example "seek table", "frame 3 of 17"
	Why  string
}

func (e *DamageError) Error() string {
	return "archive damaged: " + e.Part + ": " + e.Why
}

func damaged(part, why string, args ...any) error {
	return &DamageError{Part: part, Why: fmt.Sprintf(why, args...)}
}

// shortOr turns the end of input into damage: the archive said that there is
// more.
func shortOr(part string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(part, "the file ends inside it")
	}
	return fmt.Errorf("archive: reading %s: %w", part, err)
}
