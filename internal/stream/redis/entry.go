package redis

import (
	"context"
	"strconv"
	"strings"
	"unsafe"

	"github.com/redis/rueidis"

	"github.com/harness/log-service/internal/logs"
)

const (
	// entryCost is what append.lua counts for an entry beside its bytes.
	entryCost = 64
	// mergeBytes is how large a batch grows from entries that come together:
	// a log that was written line by line is not read so.
	mergeBytes = 64 << 10
	// lastID follows any sequence in an entry's ID to mean: behind it.
	lastID = "-18446744073709551615"
)

// entry is an entry of a Redis Stream; see doc.go.
type entry struct {
	first, next int64
	data        string
	gap, end    bool
}

// held is what the entry counts for in the bytes held in Redis.
func (x entry) held() int64 {
	if x.gap || x.end {
		return 0
	}
	return int64(len(x.data)) + entryCost
}

func (x entry) batch() *logs.Batch {
	if x.gap {
		return logs.NewGap(x.first, x.next-x.first)
	}
	// The bytes are the reply's own and never change; nor does a batch's Data.
	return &logs.Batch{First: x.first, Count: x.next - x.first, Data: unsafe.Slice(unsafe.StringData(x.data), len(x.data))}
}

// parseEntries reads entries as XRANGE and XREAD answer them.
func parseEntries(list answer) []entry {
	entries := make([]entry, 0, len(list))
	for i := range list {
		e := list.list(i)
		fields := e.list(1)
		last, count, ok := strings.Cut(e.text(0), "-")
		n, err := strconv.ParseInt(last, 10, 64)
		c, err2 := strconv.ParseInt(count, 10, 64)
		if !ok || err != nil || err2 != nil || len(fields) < 2 {
			continue // none of ours
		}
		x := entry{first: n - c + 1, next: n + 1, data: fields.text(1)}
		switch fields.text(0) {
		case "g":
			x.gap = true
		case "c":
			x.end, x.first, x.next = true, n, n
		}
		entries = append(entries, x)
	}
	return entries
}

// toBatches makes batches of entries, small neighbours in one.
func toBatches(entries []entry) []*logs.Batch {
	var found []*logs.Batch
	for i := 0; i < len(entries); {
		x := entries[i]
		if x.end {
			break
		}
		n, size := 1, len(x.data)
		for ; i+n < len(entries); n++ {
			y := entries[i+n]
			if y.gap || y.end || x.gap || y.first != entries[i+n-1].next || size+len(y.data) > mergeBytes {
				break
			}
			size += len(y.data)
		}
		b := x.batch()
		if n > 1 {
			b.Count, b.Data = entries[i+n-1].next-x.first, make([]byte, 0, size)
			for _, y := range entries[i : i+n] {
				b.Data = append(b.Data, y.data...)
			}
		}
		found = append(found, b)
		i += n
	}
	return found
}

// fetch reads about most bytes of the entries behind after, and the name of
// the part that may hold the first of these lines.
func (e *Engine) fetch(ctx context.Context, b *bucket, name, gen string, after, most int64) (part string, entries []entry, err error) {
	a, err := e.call(ctx, e.scripts.read, b.root, name, e.now(), gen, itoa(after), itoa(most))
	if err != nil {
		return "", nil, err
	}
	return a.text(0), parseEntries(a.list(1)), nil
}

// streamsOf reads the answer of XREAD: what came, by key.
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
