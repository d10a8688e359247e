package archive

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/harness/log-service/internal/logs"
)

// The line index is a skippable frame (RFC 8878, 3.1.2) with this payload;
// integers are little-endian, or varints as in encoding/binary:
//
//	"LOGX"            4 bytes
//	version           1 byte, 1
//	flags             1 byte, bit 0: incomplete, bit 1: plain
//	first             uvarint, the sequence of the first line
//	frames            uvarint, number of content frames, and for each
//	  count           uvarint, number of sequences << 1 | whether it is a gap
//	  raw             uvarint, bytes of its content
//	  size            uvarint, bytes of the compressed frame
//	  crc             4 bytes, CRC-32C of the compressed frame
//	content crc       4 bytes, CRC-32C of all content
//	index crc         4 bytes, CRC-32C of the payload up to here
//
// In a plain archive the frames are not compressed, and this index is stored
// beside the file. Everything else (the offset of a frame, its first sequence)
// results from summation.
const (
	indexMagic   = 0x184D2A5D // one of the 16 that zstd reserves for applications
	indexTag     = "LOGX"
	indexVersion = 1

	flagIncomplete = 1
	flagPlain      = 2
)

// The seek table of the zstd seekable format: a skippable frame with two 4-byte
// integers per frame (compressed and decompressed size), then the number of
// frames (4 bytes), a descriptor (1 byte, 0: no checksums) and a magic number
// (4 bytes).
const (
	seekTableMagic  = 0x184D2A5E
	seekableMagic   = 0x8F92EAB1
	seekEntrySize   = 8
	seekFooterSize  = 9
	skippableHeader = 8 // magic and size
)

// frame is the index entry of a content frame.
type frame struct {
	first  int64 // sequence of the first line
	count  int64 // sequences covered
	offset int64 // in the file
	raw    int64 // offset in the content
	length int32 // of the content
	size   int32 // compressed
	crc    uint32
	gap    bool
}

func (f *frame) next() int64 { return f.first + f.count }

// index describes a whole archive.
type index struct {
	frames  []frame
	first   int64
	content uint32 // CRC-32C
	flags   byte
	size    int64  // of all content frames, compressed
	raw     int64  // of the content
	lines   int64  // of the content
	whole   []byte // the archive, if the first read returned all of it
}

func (x *index) plain() bool { return x.flags&flagPlain != 0 }

func (x *index) next() int64 {
	if n := len(x.frames); n > 0 {
		return x.frames[n-1].next()
	}
	return x.first
}

// add appends a frame; its offsets follow from the preceding ones.
func (x *index) add(f frame) {
	f.first, f.offset, f.raw = x.next(), x.size, x.raw
	x.size += int64(f.size)
	x.raw += int64(f.length)
	if f.gap {
		x.lines++
	} else {
		x.lines += f.count
	}
	x.frames = append(x.frames, f)
}

func (x *index) summary() logs.Summary {
	return logs.Summary{First: x.first, Next: x.next(), Lines: x.lines, RawSize: x.raw, Incomplete: x.flags&flagIncomplete != 0, Checksum: x.content}
}

// encode returns the last two frames of the archive, or for a plain archive
// only the first of them.
func (x *index) encode() []byte {
	b := make([]byte, skippableHeader, 64+len(x.frames)*24)
	b = append(b, indexTag...)
	b = append(b, indexVersion, x.flags)
	b = binary.AppendUvarint(b, uint64(x.first))
	b = binary.AppendUvarint(b, uint64(len(x.frames)))
	for i := range x.frames {
		f := &x.frames[i]
		count := uint64(f.count) << 1
		if f.gap {
			count |= 1
		}
		b = binary.AppendUvarint(b, count)
		b = binary.AppendUvarint(b, uint64(f.length))
		b = binary.AppendUvarint(b, uint64(f.size))
		b = binary.LittleEndian.AppendUint32(b, f.crc)
	}
	b = binary.LittleEndian.AppendUint32(b, x.content)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[skippableHeader:], castagnoli))
	putHeader(b, indexMagic, len(b)-skippableHeader)
	if x.plain() {
		return b
	}
	return x.appendSeekTable(b, len(b))
}

func (x *index) appendSeekTable(b []byte, indexSize int) []byte {
	n := len(x.frames) + 1 // the line index
	at := len(b)
	b = append(b, make([]byte, skippableHeader)...)
	putHeader(b[at:], seekTableMagic, n*seekEntrySize+seekFooterSize)
	for i := range x.frames {
		b = binary.LittleEndian.AppendUint32(b, uint32(x.frames[i].size))
		b = binary.LittleEndian.AppendUint32(b, uint32(x.frames[i].length))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(indexSize))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = append(b, 0)
	return binary.LittleEndian.AppendUint32(b, seekableMagic)
}

func putHeader(b []byte, magic uint32, size int) {
	binary.LittleEndian.PutUint32(b, magic)
	binary.LittleEndian.PutUint32(b[4:], uint32(size))
}

// parseIndex reads the line index, as a skippable frame.
func parseIndex(b []byte) (*index, error) {
	const part = "line index"
	head := skippableHeader + len(indexTag) + 2
	switch {
	case len(b) < head+2+8:
		return nil, damaged(part, "%d bytes are too few", len(b))
	case binary.LittleEndian.Uint32(b) != indexMagic || int64(binary.LittleEndian.Uint32(b[4:])) != int64(len(b)-skippableHeader):
		return nil, damaged(part, "it has not the header of one")
	}
	end := len(b) - 4
	if crc32.Checksum(b[skippableHeader:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, damaged(part, "its checksum does not match")
	}
	if string(b[skippableHeader:head-2]) != indexTag || b[head-2] != indexVersion {
		return nil, damaged(part, "it is of another program or version")
	}
	p := parser{rest: b[head : end-4]}
	x := &index{flags: b[head-1], content: binary.LittleEndian.Uint32(b[end-4:])}
	x.first = p.number(maxSequence)
	n := p.number(maxFrames)
	// Each frame takes at least 7 bytes, so no count can cause an allocation
	// that is larger than the file.
	if x.first < 1 || p.bad || n > int64(len(p.rest)/7) {
		return nil, damaged(part, "a number in it is out of range")
	}
	x.frames = make([]frame, 0, n)
	for range n {
		f, ok := p.frame()
		if !ok || x.next()+f.count > maxSequence || x.plain() && f.size != f.length {
			return nil, damaged(part, "frame %d of %d is out of range", len(x.frames)+1, n)
		}
		x.add(f)
	}
	if len(p.rest) != 0 {
		return nil, damaged(part, "%d bytes are left over", len(p.rest))
	}
	return x, nil
}

// checkSeekTable compares a whole seek table with the index, whose frame has
// indexSize bytes.
func (x *index) checkSeekTable(table []byte, indexSize int64) error {
	const part = "seek table"
	n := len(x.frames) + 1
	if len(table) != skippableHeader+n*seekEntrySize+seekFooterSize {
		return damaged(part, "its number of frames is not that of the line index")
	}
	if !bytes.Equal(table, x.appendSeekTable(nil, int(indexSize))) {
		return damaged(part, "it is not as the line index has it")
	}
	return nil
}

// parser reads the variable part of an index.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) number(limit uint64) int64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || v > limit {
		p.bad = true
		return 0
	}
	p.rest = p.rest[n:]
	return int64(v)
}

func (p *parser) frame() (frame, bool) {
	count := p.number(maxSequence << 1)
	length := p.number(maxFrame)
	size := p.number(math.MaxInt32)
	if p.bad || len(p.rest) < 4 {
		return frame{}, false
	}
	f := frame{
		count: count >> 1, gap: count&1 != 0,
		length: int32(length), size: int32(size),
		crc: binary.LittleEndian.Uint32(p.rest),
	}
	p.rest = p.rest[4:]
	// A compressed frame is hardly longer than its content, and a line has at
	// least one byte.
	ok := f.count >= 1 && length >= 1 && size >= 1 && size <= length+length/128+64
	return f, ok && (f.gap || f.count <= length)
}
