package client

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// Limits of a batch. A batch that reaches either one is sent at once. Larger
// batches gain little, and a batch is resent whole when its response is lost.
const (
	maxBatchLines = 5000
	maxBatchBytes = 1 << 20
)

// batch is a JSON array of lines; due appends the closing bracket.
type batch struct {
	data  []byte
	lines int64
	began time.Time
}

// take consumes p up to its first newline, or the whole of p if there is none
// (at most maxPieceBytes), and returns the number of bytes consumed. The caller
// holds mu; this applies to every method in this file except due.
func (w *Writer) take(p []byte, now time.Time) int {
	p = p[:min(len(p), maxPieceBytes-len(w.partial))]
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		line := p[:i+1]
		if len(w.partial) > 0 {
			w.partial = append(w.partial, line...)
			line = w.partial
		}
		w.add(w.level, now, line, nil)
		w.partial = w.partial[:0]
		return i + 1
	}
	if wholeRunes(w.partial) == 0 {
		w.since = now
		w.signal()
	}
	w.partial = append(w.partial, p...)
	if len(w.partial) >= maxPieceBytes {
		w.cutPartial(false)
	}
	return len(p)
}

// cutPartial turns the unterminated text into a line. Unless all is set, it
// keeps back an incomplete UTF-8 sequence at the end.
func (w *Writer) cutPartial(all bool) {
	n := len(w.partial)
	if !all {
		n = wholeRunes(w.partial)
	}
	if n == 0 {
		return
	}
	w.add(w.level, w.since, w.partial[:n], nil)
	w.partial = append(w.partial[:0], w.partial[n:]...)
}

// pieceOf returns how many bytes of text fit in one line.
func pieceOf(text string) int {
	if len(text) <= maxPieceBytes {
		return len(text)
	}
	return wholeRunes([]byte(text[:maxPieceBytes]))
}

// wholeRunes returns the length of b without an incomplete UTF-8 sequence at its
// end.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}

// add appends one line to the current batch.
func (w *Writer) add(level string, at time.Time, text, args []byte) {
	if w.batch == nil {
		w.batch = &batch{data: make([]byte, 0, w.batchSize()), began: time.Now()}
		w.signal()
	}
	b := w.batch
	before := len(b.data)
	separator := byte(',')
	if b.lines == 0 {
		separator = '['
	}
	b.data = appendLine(append(b.data, separator), level, w.pos, at, text, args)
	b.lines++
	w.pos++
	w.stats.Lines++
	w.stats.Bytes += int64(len(text))
	w.stats.Pending += int64(len(b.data) - before)
	if b.lines >= maxBatchLines || len(b.data) >= maxBatchBytes {
		w.full = append(w.full, b)
		w.batch = nil
		w.signal()
	}
}

// batchSize estimates the size of the next batch from the last one queued, so
// that sustained output does not grow every batch from scratch.
func (w *Writer) batchSize() int {
	if n := len(w.full); n > 0 {
		return len(w.full[n-1].data) + 4<<10
	}
	return 4 << 10
}

// signal wakes the sender.
func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// due returns the next batch to send, sealed, or how long to wait for one.
// finished reports that no more batches will follow.
func (w *Writer) due(now time.Time) (b *batch, wait time.Duration, finished bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hurry := w.closed || w.flushTo > w.stats.Sent
	wait = time.Hour // every change wakes the sender
	if wholeRunes(w.partial) > 0 {
		if left := partialAfter - now.Sub(w.since); left > 0 {
			wait = left
		} else {
			w.cutPartial(false)
			hurry = true
		}
	}
	if len(w.full) > 0 {
		b, w.full = w.full[0], w.full[1:]
	} else if w.batch != nil {
		if left := linger - now.Sub(w.batch.began); left > 0 && !hurry {
			return nil, min(wait, left), false
		}
		b, w.batch = w.batch, nil
	}
	if b == nil {
		return nil, wait, w.closed
	}
	b.data = append(b.data, ']')
	return b, 0, false
}
