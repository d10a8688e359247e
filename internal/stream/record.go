package stream

import (
	"encoding/binary"
	"hash/crc32"
)

// The format of the write-ahead log. All numbers are little endian, all
// checksums CRC-32C (Castagnoli).
//
//	segment  = header(64) group* zeros       (or the old bytes of a reused file)
//	group    = header(24) record*            one write and one sync
//	record   = header(48) data
//
// A segment's header contains its number, the number of its first group and the
// first unused stream number. A group's checksum is seeded with the segment
// number, so bytes of another file never pass as this one's. Groups are
// numbered without a gap over all segments: the next segment's header
// determines how many of this segment's groups count, whatever a failed write
// left after them.
const (
	segmentMagic  = "LOGSWAL2"
	previousMagic = "LOGSWAL1" // the same, without rosters and other newer record kinds
	groupMagic    = 0x47534c01
	segmentHeader = 64
	groupHeader   = 24
	recordHeader  = 48
)

type recordKind uint8

const (
	kindOpen      recordKind = 1 + iota // data: the name, see stream.name; ttl in first, next sequence in next
	kindLines                           // data: NDJSON of count lines from first on
	kindClose                           // how in flags, next sequence in next (0 in older files): the lines before it may be damaged
	kindDelete                          // deletes the stream and all its earlier records
	kindCompacted                       // lines, compressed with zstd; replaces what was stored for that range
	kindRecent                          // data: the recent appends among the lines of the compacted blocks beside it, see batches.EncodeAppends
	kindRoster                          // of no stream: describes count streams; see roster.go
	kindPad                             // of no stream: padding up to the end of a block
	maxKind       = kindPad
)

// Flags of a record.
const (
	flagMore       = 1 << 0 // lines: the same append continues in the next record
	flagUnmarked   = 1 << 1 // lines: a retry is not recognized by their bytes
	flagIncomplete = 1 << 0 // close: the writer became silent
	shiftArchive   = 1      // close: logs.Archiving, two bits
)

// record is a record's header. Data follows it in the file.
type record struct {
	kind    recordKind
	flags   uint8
	stream  uint64
	first   int64 // open: time to live in nanoseconds
	count   uint32
	size    uint32 // bytes of data
	dataCRC uint32
	next    int64 // open: the sequence of the stream's next line; compacted block: bytes before compression
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// appendRecord encodes a record. The header's checksum covers the data's.
func appendRecord(dst []byte, r record, data []byte) []byte {
	var h [recordHeader]byte
	le := binary.LittleEndian
	le.PutUint32(h[4:], r.dataCRC)
	h[8] = byte(r.kind)
	h[9] = r.flags
	le.PutUint32(h[12:], r.count)
	le.PutUint32(h[16:], r.size)
	le.PutUint64(h[24:], r.stream)
	le.PutUint64(h[32:], uint64(r.first))
	le.PutUint64(h[40:], uint64(r.next))
	le.PutUint32(h[0:], checksum(h[4:]))
	return append(append(dst, h[:]...), data...)
}

// parseRecord decodes a record's header; ok is false if it is damaged.
func parseRecord(h []byte) (r record, ok bool) {
	le := binary.LittleEndian
	if len(h) < recordHeader || le.Uint32(h) != checksum(h[4:recordHeader]) {
		return r, false
	}
	return record{
		kind: recordKind(h[8]), flags: h[9],
		dataCRC: le.Uint32(h[4:]), count: le.Uint32(h[12:]), size: le.Uint32(h[16:]),
		stream: le.Uint64(h[24:]), first: int64(le.Uint64(h[32:])), next: int64(le.Uint64(h[40:])),
	}, true
}

// known reports whether the record's kind is one of ours.
func (r record) known() bool { return r.kind > 0 && r.kind <= maxKind }

// parseData returns the data of r, which follows its header in b; ok is false
// if it is damaged or truncated.
func (r record) parseData(b []byte) (data []byte, ok bool) {
	end := recordHeader + int(r.size)
	if end > len(b) {
		return nil, false
	}
	data = b[recordHeader:end]
	return data, checksum(data) == r.dataCRC
}

// groupHead is a group's header.
type groupHead struct {
	number uint64
	size   uint32 // bytes of records
}

// putGroup writes a group's header into b, which begins with space for it.
func putGroup(b []byte, segment, number uint64) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], groupMagic)
	le.PutUint32(b[4:], uint32(len(b)-groupHeader))
	le.PutUint64(b[8:], number)
	le.PutUint32(b[16:], 0)
	le.PutUint32(b[20:], seeded(segment, b[:20]))
}

// parseGroup decodes a group's header of the given segment.
func parseGroup(b []byte, segment uint64) (groupHead, bool) {
	le := binary.LittleEndian
	if len(b) < groupHeader || le.Uint32(b) != groupMagic || le.Uint32(b[20:]) != seeded(segment, b[:20]) {
		return groupHead{}, false
	}
	return groupHead{number: le.Uint64(b[8:]), size: le.Uint32(b[4:])}, true
}

func seeded(segment uint64, b []byte) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], segment)
	return crc32.Update(checksum(s[:]), castagnoli, b)
}

// segmentHead is a segment's header.
type segmentHead struct {
	number     uint64
	firstGroup uint64
	nextStream uint64
	reused     bool // the file was another segment's: its old bytes follow the last group
}

// encode returns the header as it is on disk.
func (h segmentHead) encode() []byte {
	var b [segmentHeader]byte
	copy(b[:], segmentMagic)
	le := binary.LittleEndian
	le.PutUint64(b[8:], h.number)
	le.PutUint64(b[16:], h.firstGroup)
	le.PutUint64(b[24:], h.nextStream)
	if h.reused {
		b[32] = 1
	}
	le.PutUint32(b[60:], checksum(b[:60]))
	return b[:]
}

func parseSegment(b []byte) (segmentHead, bool) {
	le := binary.LittleEndian
	if len(b) < segmentHeader || le.Uint32(b[60:]) != checksum(b[:60]) {
		return segmentHead{}, false
	}
	if magic := string(b[:8]); magic != segmentMagic && magic != previousMagic {
		return segmentHead{}, false
	}
	return segmentHead{number: le.Uint64(b[8:]), firstGroup: le.Uint64(b[16:]), nextStream: le.Uint64(b[24:]), reused: b[32] == 1}, true
}
