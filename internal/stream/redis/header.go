package redis

import (
	"encoding/binary"
)

// Kinds of entries.
const (
	kindStart = 'o' // has the ID of the line before the first, so that a stream is never empty
	kindLines = 'd'
	kindGap   = 'g' // lines that a failover lost
	kindEnd   = 'c'
)

// header is the name of an entry's only field, whose value is the lines: the
// state of the stream after it. So an append needs only the newest entry. The
// scripts read it, too. As text, numbers big-endian:
//
//	kind 1, lines 4, bytes 8, cost 8, clock 8, sum 8, span 4, node
type header struct {
	kind  byte
	lines int64
	bytes int64  // of all lines so far
	cost  int64  // of all entries so far; see entryCost
	clock int64  // when it was added: milliseconds of the service's clock
	sum   uint64 // of the append that ends with this entry; zero: unknown. In the end mark: the next sequence
	span  int64  // lines of that append
	node  string // that added it
}

// headerSize is the size of a header without its node.
const headerSize = 1 + 4 + 8 + 8 + 8 + 8 + 4

// begins reports whether the entry is a start with nothing before it. If Redis
// has evicted entries of a stream, segments may precede its start.
func (h header) begins() bool { return h.kind == kindStart && h.cost == 0 }

func (h header) text() string {
	t := make([]byte, 0, headerSize+len(h.node))
	t = append(t, h.kind)
	t = binary.BigEndian.AppendUint32(t, uint32(h.lines))
	t = binary.BigEndian.AppendUint64(t, uint64(h.bytes))
	t = binary.BigEndian.AppendUint64(t, uint64(h.cost))
	t = binary.BigEndian.AppendUint64(t, uint64(h.clock))
	t = binary.BigEndian.AppendUint64(t, h.sum)
	t = binary.BigEndian.AppendUint32(t, uint32(h.span))
	return string(append(t, h.node...))
}

// parseHeader reads a header; false: it is not one.
func parseHeader(text string) (header, bool) {
	if len(text) < headerSize {
		return header{}, false
	}
	t := []byte(text[:headerSize])
	h := header{
		kind:  t[0],
		lines: int64(binary.BigEndian.Uint32(t[1:])),
		bytes: int64(binary.BigEndian.Uint64(t[5:])),
		cost:  int64(binary.BigEndian.Uint64(t[13:])),
		clock: int64(binary.BigEndian.Uint64(t[21:])),
		sum:   binary.BigEndian.Uint64(t[29:]),
		span:  int64(binary.BigEndian.Uint32(t[37:])),
		node:  text[headerSize:],
	}
	return h, true
}
