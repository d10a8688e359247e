package lines

import (
	"bytes"
	"unicode/utf8"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Array parses a JSON array of objects; null is an empty one. The body's buffer
// is overwritten and belongs to the result. A line of more than maxLine bytes
// of JSON is cut and marked, see cut. Errors are logservice.ErrInvalid and name
// the offset.
func Array(body []byte, maxLine int) (logs.Lines, error) {
	return array(body, maxLine, marks{})
}

// Counted is Array for a protocol that gives each log one writer, which counts
// all its lines in pos. There, an integer in pos identifies a line, and with it
// the batch, whatever its time is; see marks. Drone runners speak such a
// protocol: their times are whole seconds since the step began.
//
// A batch in which pos does not increase is not identified: its client does not
// count.
func Counted(body []byte, maxLine int) (logs.Lines, error) {
	return array(body, maxLine, marks{counted: true, last: -1})
}

func array(body []byte, maxLine int, m marks) (logs.Lines, error) {
	i := skipSpace(body, afterMark(body))
	switch {
	case i == len(body):
		return logs.Lines{}, logservice.Invalidf("invalid JSON at byte %d: the body is empty: send an array of lines", i)
	case len(body)-i >= 4 && string(body[i:i+4]) == "null":
		return logs.Lines{}, onlySpace(body, i+4)
	case body[i] != '[':
		return logs.Lines{}, unexpected(body, i, "'[' of an array of lines")
	}
	i = skipSpace(body, i+1)
	if i < len(body) && body[i] == ']' {
		return logs.Lines{}, onlySpace(body, i+1)
	}
	w := newWriter(body, i, maxLine, m)
	for {
		if i >= len(body) || body[i] != '{' {
			return logs.Lines{}, unexpected(body, i, "'{' of a line")
		}
		s, err := object(body, i, !w.marks.settled)
		if err != nil {
			return logs.Lines{}, err
		}
		// The separator is read before the line is written, because the line
		// break may overwrite it.
		j := skipSpace(body, s.end)
		if j >= len(body) || (body[j] != ',' && body[j] != ']') {
			return logs.Lines{}, unexpected(body, j, "',' or ']' after a line")
		}
		last := body[j] == ']'
		if err := w.line(i, s, j+1); err != nil {
			return logs.Lines{}, err
		}
		if last {
			return w.batch(), onlySpace(body, j+1)
		}
		i = skipSpace(body, j+1)
	}
}

// NDJSON parses consecutive JSON objects, with or without white space between
// them; blank lines and an empty body are valid. A body that does not end in a
// line break needs one spare byte of capacity; otherwise it is copied.
// Everything else is as for Array.
func NDJSON(body []byte, maxLine int) (logs.Lines, error) {
	i := skipSpace(body, afterMark(body))
	w := newWriter(body, i, maxLine, marks{})
	for i < len(body) {
		if body[i] != '{' {
			return logs.Lines{}, unexpected(body, i, "'{' of a line")
		}
		s, err := object(body, i, !w.marks.settled)
		if err != nil {
			return logs.Lines{}, err
		}
		next := skipSpace(body, s.end)
		if err := w.line(i, s, next); err != nil {
			return logs.Lines{}, err
		}
		i = next
	}
	return w.batch(), nil
}

// maxGrowth limits how much longer than the body a result may become: replacing
// invalid UTF-8 can triple a text, and memory is accounted by the size of the
// body.
const maxGrowth = 16 << 20

// writer collects lines, in the body's own buffer while they fit into the part
// that has already been read.
type writer struct {
	body    []byte
	maxLine int
	out     []byte
	inPlace bool // out is body[base:base+len(out)]
	base    int
	count   int64
	marks   marks
}

func newWriter(body []byte, at, maxLine int, m marks) writer {
	return writer{body: body, maxLine: maxLine, out: body[at:at], inPlace: true, base: at, marks: m}
}

// line adds the line body[start:s.end]. Everything before free has been read
// and may be overwritten.
func (w *writer) line(start int, s span, free int) error {
	w.count++
	if !w.marks.settled {
		w.marks.add(w.body, s)
	}
	text, asSent := w.body[start:s.end], true
	if s.breaks {
		text, asSent = compact(text), false
	}
	if s.high {
		if bytes.Contains(text, []byte(`\u`)) {
			mendSurrogates(text)
		}
		if !utf8.Valid(text) {
			text, asSent = appendValid(make([]byte, 0, len(text)+len(text)/4), text), false
		}
	}
	if len(text) > w.maxLine {
		text, asSent = cut(text, w.maxLine), false
	}
	if w.inPlace {
		at, end := w.base+len(w.out), free
		if free == len(w.body) {
			end = cap(w.body)
		}
		switch {
		case at+len(text)+1 > end:
			w.detach(len(text))
		case asSent && at == start: // the usual case: it is already in place
			w.out = w.out[:len(w.out)+len(text)+1]
			w.out[len(w.out)-1] = '\n'
			return nil
		}
	}
	w.out = append(append(w.out, text...), '\n')
	if len(w.out) > len(w.body)+maxGrowth {
		return logservice.Errorf(logservice.ErrTooLarge, "body too large: replacing its invalid UTF-8 made it grow by more than %d bytes", maxGrowth)
	}
	return nil
}

// detach moves the collected lines to a new buffer, with capacity for the rest
// of the body and a line of n bytes.
func (w *writer) detach(n int) {
	rest := len(w.body) - w.base - len(w.out)
	out := make([]byte, len(w.out), len(w.out)+rest+n+64)
	copy(out, w.out)
	w.out, w.inPlace = out, false
}

func (w *writer) batch() logs.Lines {
	if w.count == 0 {
		return logs.Lines{}
	}
	return logs.Lines{Data: w.out, Count: w.count, Dedupe: w.marks.identified}
}

// compact removes the white space between the tokens of valid JSON, in place.
func compact(b []byte) []byte {
	n := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			start := i
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			n += copy(b[n:], b[start:i+1])
		case isSpace(c):
		default:
			b[n] = c
			n++
		}
	}
	return b[:n]
}

// appendValid appends src to dst with U+FFFD for each byte that is not valid
// UTF-8.
func appendValid(dst, src []byte) []byte {
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		dst = utf8.AppendRune(dst, r)
		src = src[n:]
	}
	return dst
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

func onlySpace(b []byte, i int) error {
	if i = skipSpace(b, i); i < len(b) {
		return unexpected(b, i, "the end of the body")
	}
	return nil
}
