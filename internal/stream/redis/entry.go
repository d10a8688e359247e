package redis

import (
	"strconv"
	"strings"
	"unsafe"

	"github.com/redis/rueidis"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

const (
	// entryCost is approximately what an entry costs Redis in addition to its
	// lines.
	entryCost = 64 + headerSize
	// mergeBytes is the size up to which entries that arrive together become
	// one batch: a log that was written line by line is not read line by line.
	mergeBytes = 64 << 10
	// lastID follows any sequence in an entry's ID to mean: after it.
	lastID = "-18446744073709551615"
)

// entry is an entry of a Redis Stream; see doc.go.
type entry struct {
	header
	first int64
	data  string
}

func (x entry) next() int64 { return x.first + x.lines }
func (x entry) end() bool   { return x.kind == kindEnd }

// own is the cost of the entry itself.
func (x entry) own() int64 {
	if x.kind != kindLines {
		return 0
	}
	return int64(len(x.data)) + entryCost
}

func (x entry) batch() *logs.Batch {
	if x.kind == kindGap {
		return logs.NewGap(x.first, x.lines)
	}
	// The bytes are the reply's own and never change; nor does a batch's Data.
	return &logs.Batch{First: x.first, Count: x.lines, Data: unsafe.Slice(unsafe.StringData(x.data), len(x.data))}
}

// parseEntries reads entries as XRANGE and XREAD answer them.
func parseEntries(list answer) []entry {
	entries := make([]entry, 0, len(list))
	for i := range list {
		e := list.list(i)
		fields := e.list(1)
		first, ok := parseID(e.text(0))
		h, ok2 := parseHeader(fields.text(0))
		if !ok || !ok2 || h.kind == kindStart {
			continue
		}
		if h.kind == kindEnd {
			first, h.sum = int64(h.sum), 0
		}
		entries = append(entries, entry{h, first, fields.text(1)})
	}
	return entries
}

// toBatches makes batches of entries: adjacent small ones become one batch, a
// large one several.
func toBatches(entries []entry) []*logs.Batch {
	var found []*logs.Batch
	for i := 0; i < len(entries); {
		x := entries[i]
		if x.end() {
			break
		}
		n, size := 1, len(x.data)
		for ; i+n < len(entries); n++ {
			y := entries[i+n]
			if x.kind != kindLines || y.kind != kindLines || y.first != entries[i+n-1].next() || size+len(y.data) > mergeBytes {
				break
			}
			size += len(y.data)
		}
		b := x.batch()
		if n > 1 {
			b.Count, b.Data = entries[i+n-1].next()-x.first, make([]byte, 0, size)
			for _, y := range entries[i : i+n] {
				b.Data = append(b.Data, y.data...)
			}
		}
		found = append(found, cut(b)...)
		i += n
	}
	return found
}

// cut splits a batch that is larger than what readers take at once.
func cut(b *logs.Batch) []*logs.Batch {
	if len(b.Data) <= batches.PieceBytes {
		return []*logs.Batch{b}
	}
	var found []*logs.Batch
	first := b.First
	for data, count := range batches.Pieces(b.Data, b.Count) {
		found = append(found, &logs.Batch{First: first, Count: count, Data: data})
		first += count
	}
	return found
}

// streamsOf reads the reply of XREAD: entries by key.
func streamsOf(r rueidis.RedisResult) (map[string]answer, error) {
	m, err := r.ToMessage()
	if err != nil {
		if rueidis.IsRedisNil(err) {
			return nil, nil
		}
		return nil, err
	}
	found := map[string]answer{}
	if m.IsMap() { // RESP3
		all, err := m.ToMap()
		for key, entries := range all {
			list, _ := entries.ToArray()
			found[key] = list
		}
		return found, err
	}
	all, err := m.ToArray()
	for i := range all {
		pair, _ := all[i].ToArray()
		found[answer(pair).text(0)] = answer(pair).list(1)
	}
	return found, err
}

// parseID reads the ID of an entry: its first sequence.
func parseID(id string) (first int64, ok bool) {
	s, _, _ := strings.Cut(id, "-")
	first, err := strconv.ParseInt(s, 10, 64)
	return first, err == nil
}
