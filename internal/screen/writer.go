package screen

import (
	"io"
	"unicode/utf8"
)

// maxRow is how much of an unfinished row a Writer holds back; more is written as
// it comes.
const maxRow = 64 << 10

// Writer renders all that is written to it, row by row. It is not safe for
// concurrent use. Close it.
type Writer struct {
	w       io.Writer
	row     Row
	partial []byte // first bytes of a rune that the next Write completes
	out     []byte // reused
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer, colors bool) *Writer {
	return &Writer{w: w, row: Row{Colors: colors}}
}

// Write writes the rows that p completes.
func (f *Writer) Write(p []byte) (int, error) {
	n := len(p)
	f.out = f.out[:0]
	if len(f.partial) > 0 {
		p = append(f.partial, p...)
		f.partial = nil
	}
	for len(p) > 0 {
		c, size := utf8.DecodeRune(p)
		if c == utf8.RuneError && !utf8.FullRune(p) {
			f.partial = append([]byte(nil), p...)
			break
		}
		p = p[size:]
		if c == '\n' {
			f.out = append(f.row.end(f.out), '\n')
			continue
		}
		f.row.step(c)
		if len(f.row.row) >= maxRow {
			f.out = append(f.out, f.row.row...)
			f.row.row = f.row.row[:0]
		}
	}
	if _, err := f.w.Write(f.out); err != nil {
		return 0, err
	}
	return n, nil
}

// Close writes the row that has not ended. It does not close the underlying
// writer.
func (f *Writer) Close() error {
	if len(f.partial) > 0 {
		f.row.step(utf8.RuneError)
		f.partial = nil
	}
	_, err := f.w.Write(f.row.end(f.out[:0]))
	return err
}
