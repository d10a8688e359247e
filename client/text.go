package client

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// text makes lines of the bytes that are written to it. The Writer's mutex guards
// its fields.
type text struct {
	w       *Writer
	mask    *masker // nil if nothing is masked
	partial []byte  // after the last newline
	since   time.Time
}

// Write is Writer.Write for this text.
func (t *text) Write(p []byte) (n int, err error) {
	now := time.Now()
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.mask == nil {
		return t.write(p, now)
	}
	if err := t.w.reserve(); err != nil {
		return 0, err
	}
	if _, err := t.write(t.mask.feed(p, false), now); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends the text: what is unterminated becomes its last line.
func (t *text) Close() error {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.w.remove(t)
	if t.w.failed != nil && !t.w.bestEffort {
		return t.w.failure()
	}
	return nil
}

// write splits p. The caller holds mu, as for everything below.
func (t *text) write(p []byte, now time.Time) (n int, err error) {
	for len(p) > 0 {
		if err := t.w.reserve(); err != nil {
			return n, err
		}
		taken := t.take(p, now)
		n += taken
		p = p[taken:]
	}
	return n, nil
}

// take consumes p up to its first newline, or the whole of p if there is none
// (at most maxPieceBytes), and returns the number of bytes consumed.
func (t *text) take(p []byte, now time.Time) int {
	p = p[:min(len(p), maxPieceBytes-len(t.partial))]
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		line := p[:i+1]
		if len(t.partial) > 0 {
			t.partial = append(t.partial, line...)
			line = t.partial
		}
		t.w.add(piece{level: t.w.level, at: now, text: line, from: t})
		t.partial = t.partial[:0]
		return i + 1
	}
	if wholeRunes(t.partial) == 0 {
		t.since = now
		t.w.signal()
	}
	t.partial = append(t.partial, p...)
	if len(t.partial) >= maxPieceBytes {
		t.cut()
	}
	return len(p)
}

// cut sends the unterminated text as a piece of a line. It keeps back an
// incomplete UTF-8 sequence at the end, and so does mask what may become a secret.
func (t *text) cut() {
	n := wholeRunes(t.partial)
	if n == 0 {
		return
	}
	t.w.add(piece{level: t.w.level, at: t.since, text: t.partial[:n], partial: true, from: t})
	t.partial = append(t.partial[:0], t.partial[n:]...)
}

// end sends all that is kept back.
func (t *text) end() {
	now := time.Now()
	var rest []byte
	if t.mask != nil {
		rest = t.mask.feed(nil, true)
	}
	for len(rest) > 0 {
		rest = rest[t.take(rest, now):]
	}
	if len(t.partial) > 0 {
		t.w.add(piece{level: t.w.level, at: t.since, text: t.partial, from: t})
		t.partial = nil
	} else if t.w.begun == t {
		t.w.endLine(now)
	}
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
