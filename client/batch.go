package client

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// The limits of a batch: past either it is sent without waiting. Larger ones
// gain little, and each is repeated whole when its answer is lost.
const (
	maxBatchLines = 5000
	maxBatchBytes = 1 << 20
)

// batch is a JSON array of lines, without its last bracket until sealed.
type batch struct {
	data  []byte
	lines int64
	began time.Time
}

// take takes the first piece of p, up to the end of a line at most, and says
// how long it was. Called with mu held, like all below.
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

// cutPartial makes a line of the text whose line has not ended. A character
// at its end of which bytes are missing stays, unless all is wanted.
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

// pieceOf is how much of text fits into one line.
func pieceOf(text string) int {
	if len(text) <= maxPieceBytes {
		return len(text)
	}
	return wholeRunes([]byte(text[:maxPieceBytes]))
}

// wholeRunes is how much of b is left without the beginning of a character
// at its end.
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

// add appends one line to the batch that is being filled.
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

// batchSize guesses the size of the next batch: that of the last one where it
// is waiting, so that a flood does not grow each of its batches.
func (w *Writer) batchSize() int {
	if n := len(w.full); n > 0 {
		return len(w.full[n-1].data) + 4<<10
	}
	return 4 << 10
}

// signal makes the sender look again.
func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// due returns the next batch to send, sealed; or how long to wait for one.
// finished: nothing will come any more.
func (w *Writer) due(now time.Time) (b *batch, wait time.Duration, finished bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hurry := w.closed || w.flushTo > w.stats.Sent
	wait = time.Hour // whatever comes wakes the sender
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
