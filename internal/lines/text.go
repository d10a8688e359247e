package lines

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// TextOptions supply what plain text lacks.
type TextOptions struct {
	Level   string    // of every line; empty is "info"
	Pos     int64     // of the first line; increases by one per line
	Time    time.Time // of every line
	MaxLine int       // as with Array
	// Partial marks a last line without a line break as a piece, which the next
	// body continues. Otherwise it is a line: people who send "hello" mean one.
	Partial bool
	// MaxBytes limits the result: short lines of text grow many times over.
	// Beyond it the error is logservice.ErrTooLarge.
	MaxBytes int
}

// Text converts each line of plain text to a JSON line, including its line
// break, which the last line may lack. Bytes that are not valid UTF-8 become
// U+FFFD, and are counted in the member "replaced". The body is not changed. A retry cannot be recognized: position and
// time are not the client's.
func Text(body []byte, o TextOptions) (logs.Lines, error) {
	if body = body[afterMark(body):]; len(body) == 0 {
		return logs.Lines{}, nil
	}
	size := TextSize(body, o)
	if size > int64(o.MaxBytes) {
		return logs.Lines{}, logservice.Errorf(logservice.ErrTooLarge, "body too large: as JSON its lines take about %d bytes, at most %d: send smaller bodies", size, o.MaxBytes)
	}
	out := make([]byte, 0, size)
	t := newTextWriter(o)
	var b logs.Lines
	for line := range bytes.Lines(body) {
		out = t.append(out, o.Pos+b.Count, line)
		b.Count++
	}
	b.Data = out
	return b, nil
}

// InvalidBytes counts the bytes that are not UTF-8, and become U+FFFD.
func InvalidBytes(text []byte) (n int64) {
	if utf8.Valid(text) {
		return 0
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			n++
		}
		text = text[size:]
	}
	return n
}

// append appends the line for one line of text.
func (t *textWriter) append(dst []byte, pos int64, text []byte) []byte {
	start := len(dst)
	dst = strconv.AppendInt(append(dst, t.head...), pos, 10)
	dst = appendQuoted(append(dst, `,"out":`...), text)
	dst = append(dst, t.tail...)
	if n := InvalidBytes(text); n > 0 {
		dst = strconv.AppendInt(append(dst, `,"replaced":`...), n, 10)
	}
	if t.partial && text[len(text)-1] != '\n' {
		dst = append(dst, `,"partial":true`...)
	}
	dst = append(dst, '}')
	if len(dst)-start > t.maxLine {
		dst = append(dst[:start], cut(dst[start:], t.maxLine)...)
	}
	return append(dst, '\n')
}

// TextSize returns the maximum size in bytes of the result of Text, except for
// lines that are cut. It is close for text, and up to three times too large for
// text that is not UTF-8.
func TextSize(body []byte, o TextOptions) int64 {
	const fixed = len(`{"level":,"pos":9223372036854775807,"out":"","time":"2026-01-02T15:04:05.123456789Z","args":null}`) + 1
	count := int64(bytes.Count(body, []byte{'\n'})) + 1
	size := int64(len(`,"partial":true`)) + count*int64(fixed+max(len(o.Level)*6+2, len(`"info"`)))
	high := int64(1)
	if !utf8.Valid(body) {
		high = int64(len("\uFFFD"))
		size += count * int64(len(`,"replaced":9223372036854775807`))
	}
	for _, c := range body {
		switch {
		case c >= utf8.RuneSelf:
			size += high
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			size += 2
		case c < ' ':
			size += 6
		default:
			size++
		}
	}
	return size
}

// appendQuoted appends text as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		start := i
		for i < len(text) && text[i] >= ' ' && text[i] < utf8.RuneSelf && text[i] != '"' && text[i] != '\\' {
			i++
		}
		dst = append(dst, text[start:i]...)
		if i == len(text) {
			break
		}
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			r, n := utf8.DecodeRune(text[i:])
			dst = utf8.AppendRune(dst, r)
			i += n - 1
		}
		i++
	}
	return append(dst, '"')
}
