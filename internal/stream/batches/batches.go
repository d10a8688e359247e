// Package batches contains what every engine of live logs does with batches of
// lines: it divides appends into them, and holds those that readers share in
// memory under one budget.
package batches

import (
	"bytes"
	"iter"
)

// PieceBytes is the size at which an append is divided into several batches, at
// line boundaries, so that readers advance in steps of limited size.
const PieceBytes = 256 << 10

// Pieces divides the count lines of data into pieces of about PieceBytes, and
// yields each with its number of lines. They share the bytes of data.
func Pieces(data []byte, count int64) iter.Seq2[[]byte, int64] {
	return func(yield func([]byte, int64) bool) {
		for len(data) > PieceBytes {
			end := bytes.LastIndexByte(data[:PieceBytes], '\n') + 1
			if end == 0 {
				end = bytes.IndexByte(data, '\n') + 1
			}
			if end == len(data) {
				break
			}
			n := int64(bytes.Count(data[:end], newline))
			if !yield(data[:end:end], n) {
				return
			}
			data, count = data[end:], count-n
		}
		yield(data[:len(data):len(data)], count)
	}
}

var newline = []byte{'\n'}
