package load

import (
	"bytes"
	"fmt"
	"net/url"
)

// Batch is one prepared PUT: headers and a JSON array of lines. Only digits
// are patched between two sendings, so its length never changes.
type Batch struct {
	Request []byte
	Lines   int
	Body    int   // bytes of the body
	posAt   []int // first digit of each position
	stampAt int   // first digit of the last line's stamp; 0: none
	step    int   // smallest power of ten that holds lines
}

// StampBytes is the length of a stamp: the time of sending in Unix nanoseconds,
// 19 digits.
const StampBytes = 19

// NewBatch prepares a PUT of n lines to key. With stamped, the last line's
// message begins with a stamp.
func NewBatch(log *buildLog, host, key string, n int, stamped bool) *Batch {
	b := &Batch{Lines: n, step: 1}
	for b.step < n {
		b.step *= 10
	}
	body := []byte{'['}
	var pos, stamp int
	for i := range n {
		if i > 0 {
			body = append(body, ',')
		}
		body, pos, stamp = log.Line(body, stamped && i == n-1)
		b.posAt = append(b.posAt, pos)
	}
	body = append(body, ']')
	b.Body = len(body)
	b.Request = fmt.Appendf(nil, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", StreamPath(key), host, len(body))
	head := len(b.Request)
	b.Request = append(b.Request, body...)
	for i := range b.posAt {
		b.posAt[i] += head
		Digits(b.Request[b.posAt[i]:], PosBase+int64(i), 9)
	}
	if stamped {
		b.stampAt = head + stamp
	}
	return b
}

// Number gives the lines the positions k*step, k*step+1 and so on, which makes
// the k-th sending differ from all others. The low digits never change, so
// only the high ones are written.
func (b *Batch) Number(k int64) {
	low := 0
	for s := b.step; s > 1; s /= 10 {
		low++
	}
	var high [9]byte
	Digits(high[:], PosBase+k*int64(b.step), 9)
	n := 9 - low
	for _, at := range b.posAt {
		copy(b.Request[at:at+n], high[:n])
	}
}

// Rename sends the batch to another key of the same length.
func (b *Batch) Rename(key string) {
	from := bytes.Index(b.Request, []byte("&key=")) + len("&key=")
	copy(b.Request[from:], url.QueryEscape(key))
}

// Stamp writes t, Unix nanoseconds, into the last line.
func (b *Batch) Stamp(t int64) { Digits(b.Request[b.stampAt:], t, StampBytes) }

// Digits writes the last n decimal digits of v.
func Digits(b []byte, v int64, n int) {
	for i := n - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

// Pool is a set of prepared batches of distinct lines, sent in turn by the
// scenarios that fill a log.
func Pool(log *buildLog, host, key string, lines, perBatch int) []*Batch {
	var all []*Batch
	for n := 0; n < min(lines, poolLines); n += perBatch {
		all = append(all, NewBatch(log, host, key, min(perBatch, lines-n), false))
	}
	return all
}

// Rows makes the body of a batch what gRPC carries: a line a row.
func (b *Batch) Rows() []byte {
	body := bytes.TrimSuffix(bytes.TrimPrefix(b.Request[len(b.Request)-b.Body:], []byte{'['}), []byte{']'})
	return append(bytes.ReplaceAll(body, []byte("},{"), []byte("}\n{")), '\n')
}
