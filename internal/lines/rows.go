package lines

import (
	"bytes"
	"time"

	"github.com/harness/log-service/internal/logs"
)

// A blob that a client uploaded consists of rows, which end with their line
// break or the blob. Each row is a line of the log, in every view:
//
//   - a row with one JSON object, and white space around it, is that object,
//     unchanged. If it has no "out", it is a program's own JSON, and shown as it is;
//     with white space around it, or without a line break, it is text.
//   - every other row, blank ones included, is a line with that text: what is no
//     JSON, several objects, a part of an object, null, numbers, arrays.

// RowObject returns the JSON object of a row, nil if it has none, and the value
// of its member "out", nil if it has none.
func RowObject(row []byte) (object, out []byte) {
	s, start, ok := rowObject(row)
	if !ok {
		return nil, nil
	}
	if s.out > 0 {
		out = valueOf(row, s.out)
	}
	return row[start:s.end], out
}

// byteOrderMark may stand before the first row.
var byteOrderMark = []byte("\ufeff")

func rowObject(row []byte) (s span, start int, ok bool) {
	if bytes.HasPrefix(row, byteOrderMark) {
		start = len(byteOrderMark)
	}
	start = skipSpace(row, start)
	if start == len(row) || row[start] != '{' {
		return s, start, false
	}
	s, err := object(row, start, true)
	return s, start, err == nil && skipSpace(row, s.end) == len(row)
}

// Rows converts the first rows of chunk, which ends with a row, to lines: as many
// as make about target bytes, and at least one. It returns the length of these
// rows. Only the last row of a blob may lack a line break. The chunk is not changed.
func Rows(chunk []byte, target int, o TextOptions) (b logs.Lines, n int, err error) {
	t := newTextWriter(o)
	w := newWriter(nil, 0, o.MaxLine, marks{settled: true})
	w.detach(min(len(chunk), target) + 1)
	for n < len(chunk) && len(w.out) < target {
		end := n + lineEnd(chunk[n:])
		row := chunk[n:end]
		s, start, ok := rowObject(row)
		if ok && s.out == 0 { // its white space is shown, too
			ok = start == 0 && s.end < len(row) && row[s.end] == '\n'
		}
		if ok {
			w.body = row
			if err := w.line(start, s, len(row)); err != nil {
				return logs.Lines{}, 0, err
			}
		} else {
			w.out = t.append(w.out, o.Pos+w.count, row)
			w.count++
		}
		n = end
	}
	return w.batch(), n, nil
}

// lineEnd returns the length of the first row.
func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// textWriter writes lines for text.
type textWriter struct {
	head, tail []byte // before pos, after out
	maxLine    int
	partial    bool // text without a line break is a piece
}

func newTextWriter(o TextOptions) textWriter {
	level := o.Level
	if level == "" {
		level = "info"
	}
	head := append(appendQuoted([]byte(`{"level":`), []byte(level)), `,"pos":`...)
	tail := o.Time.UTC().AppendFormat([]byte(`,"time":"`), time.RFC3339Nano)
	return textWriter{head: head, tail: append(tail, `","args":null`...), maxLine: o.MaxLine, partial: o.Partial}
}
