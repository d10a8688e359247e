package client

import (
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/harness/log-service/internal/lines"
)

// piece is a line, or a part of one, as a Writer appends it.
type piece struct {
	level   string
	at      time.Time // omitted if zero
	text    []byte
	args    []byte // a JSON object; empty for null
	partial bool   // the next piece continues the line
	from    *text  // that the line is of
}

// appendLine appends the JSON of a line.
func appendLine(dst []byte, pos int64, p piece) []byte {
	dst = append(dst, `{"level":`...)
	dst = appendString(dst, p.level)
	dst = append(dst, `,"pos":`...)
	dst = strconv.AppendInt(dst, pos, 10)
	dst = append(dst, `,"out":`...)
	dst = appendString(dst, p.text)
	if !p.at.IsZero() {
		dst = append(dst, `,"time":"`...)
		dst = p.at.UTC().AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"args":`...)
	if len(p.args) == 0 {
		dst = append(dst, "null"...)
	}
	dst = append(dst, p.args...)
	if p.partial {
		dst = append(dst, `,"partial":true`...)
	}
	if n := lines.InvalidBytes(p.text); n > 0 {
		dst = strconv.AppendInt(append(dst, `,"replaced":`...), n, 10)
	}
	return append(dst, '}')
}

// appendArgs appends args as a JSON object, or nothing if args is empty.
func appendArgs(dst []byte, args map[string]string) []byte {
	separator := byte('{')
	for _, name := range slices.Sorted(maps.Keys(args)) {
		dst = appendString(append(dst, separator), name)
		dst = appendString(append(dst, ':'), args[name])
		separator = ','
	}
	if len(args) > 0 {
		dst = append(dst, '}')
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := decodeRune(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
		} else {
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func decodeRune[S string | []byte](s S) (rune, int) {
	var first [utf8.UTFMax]byte
	n := copy(first[:], s)
	return utf8.DecodeRune(first[:n])
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\t':
		return append(dst, `\t`...)
	case '\r':
		return append(dst, `\r`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
