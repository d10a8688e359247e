package main

import (
	"bytes"
	"fmt"
	"net/url"
)

// batch is one prepared PUT: headers and a JSON array of lines. Only digits
// are patched between two sendings, so its length never changes.
type batch struct {
	request []byte
	lines   int
	body    int   // bytes of the body
	posAt   []int // first digit of each position
	stampAt int   // first digit of the last line's stamp; 0: none
	step    int   // smallest power of ten that holds lines
}

// A stamp is the time of sending in Unix nanoseconds, 19 digits.
const stampBytes = 19

// newBatch prepares a PUT of n lines to key. With stamped, the last line's
// message begins with a stamp.
func newBatch(log *buildLog, host, key string, n int, stamped bool) *batch {
	b := &batch{lines: n, step: 1}
	for b.step < n {
		b.step *= 10
	}
	body := []byte{'['}
	var pos, stamp int
	for i := range n {
		if i > 0 {
			body = append(body, ',')
		}
		body, pos, stamp = log.line(body, stamped && i == n-1)
		b.posAt = append(b.posAt, pos)
	}
	body = append(body, ']')
	b.body = len(body)
	b.request = fmt.Appendf(nil, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", streamPath(key), host, len(body))
	head := len(b.request)
	b.request = append(b.request, body...)
	for i := range b.posAt {
		b.posAt[i] += head
		digits(b.request[b.posAt[i]:], posBase+int64(i), 9)
	}
	if stamped {
		b.stampAt = head + stamp
	}
	return b
}

// number gives the lines the positions k*step, k*step+1 and so on, which makes
// the k-th sending differ from all others. The low digits never change, so
// only the high ones are written.
func (b *batch) number(k int64) {
	low := 0
	for s := b.step; s > 1; s /= 10 {
		low++
	}
	var high [9]byte
	digits(high[:], posBase+k*int64(b.step), 9)
	n := 9 - low
	for _, at := range b.posAt {
		copy(b.request[at:at+n], high[:n])
	}
}

// rename sends the batch to another key of the same length.
func (b *batch) rename(key string) {
	from := bytes.Index(b.request, []byte("&key=")) + len("&key=")
	copy(b.request[from:], url.QueryEscape(key))
}

// stamp writes t, Unix nanoseconds, into the last line.
func (b *batch) stamp(t int64) { digits(b.request[b.stampAt:], t, stampBytes) }

// digits writes the last n decimal digits of v.
func digits(b []byte, v int64, n int) {
	for i := n - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

// pool is a set of prepared batches of distinct lines, sent in turn by the
// scenarios that fill a log.
func pool(log *buildLog, host, key string, lines, perBatch int) []*batch {
	var all []*batch
	for n := 0; n < min(lines, poolLines); n += perBatch {
		all = append(all, newBatch(log, host, key, min(perBatch, lines-n), false))
	}
	return all
}
