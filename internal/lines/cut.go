package lines

import (
	"strconv"
	"unicode/utf8"
)

// maxKept limits each of level, pos and time of a line whose other members are
// dropped.
const maxKept = 256

// Member is one member of a valid object, as parts of its text.
type Member struct {
	Name  string // between the quotes, escapes as sent
	Value []byte
	At    int // offset of the value
}

// cut returns the line, a valid object, with its "out" cut so that the whole is
// at most limit bytes, and the size of out before the cut added as "truncated"
// (in bytes of text, not of JSON). The cut is at a rune boundary and never
// inside an escape. The other members are kept; if they alone exceed the limit,
// only level, pos and time are. A line without a string in "out" keeps only
// these, and its truncated is the size of its JSON.
func cut(line []byte, limit int) []byte {
	ms := Members(line)
	dst, ok := cutOut(ms, len(line), limit)
	if !ok {
		kept := ms[:0]
		for _, m := range ms {
			switch m.Name {
			case "level", "pos", "time":
				if len(m.Value) <= maxKept {
					kept = append(kept, m)
				}
			case "out":
				if m.Value[0] == '"' {
					kept = append(kept, m)
				}
			}
		}
		dst, _ = cutOut(kept, len(line), limit)
	}
	return dst
}

// cutOut builds the cut line. It returns false if even an empty out exceeds the
// limit.
func cutOut(ms []Member, size, limit int) (dst []byte, ok bool) {
	out, rest, truncated := -1, len(`{}`), int64(size)
	for i, m := range ms {
		switch {
		case m.Name == "truncated": // replaced by the new one
		case out < 0 && m.Name == "out" && m.Value[0] == '"':
			out = i
			truncated = textLen(m.Value[1 : len(m.Value)-1])
			rest += len(`"out":"",`)
		default:
			rest += len(m.Name) + len(m.Value) + len(`"":,`)
		}
	}
	rest += len(`"truncated":`) + len(strconv.FormatInt(truncated, 10))
	ok = out >= 0 && rest <= limit
	dst = append(make([]byte, 0, max(limit, rest)), '{')
	for i, m := range ms {
		if m.Name == "truncated" {
			continue
		}
		dst = append(append(append(dst, '"'), m.Name...), `":`...)
		if i == out {
			text := m.Value[1 : len(m.Value)-1]
			text = text[:cutPoint(text, limit-rest)]
			dst = append(append(append(dst, '"'), text...), '"')
		} else {
			dst = append(dst, m.Value...)
		}
		dst = append(dst, ',')
	}
	dst = strconv.AppendInt(append(dst, `"truncated":`...), truncated, 10)
	return append(dst, '}'), ok
}

// Members splits a valid object.
func Members(line []byte) []Member {
	var ms []Member
	for i := skipSpace(line, 1); line[i] != '}'; {
		start := i + 1
		// The object was validated: stringEnd cannot fail.
		end, _ := stringEnd(line, start, 0)
		i = skipSpace(line, end)
		i = skipSpace(line, i+1)
		stop := valueEnd(line, i)
		ms = append(ms, Member{Name: string(line[start : end-1]), Value: line[i:stop], At: i})
		i = skipSpace(line, stop)
		if line[i] == ',' {
			i = skipSpace(line, i+1)
		}
	}
	return ms
}

// valueEnd returns the offset after the valid value that starts at b[i].
func valueEnd(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i, _ = stringEnd(b, i+1, 0)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		default:
			i++
			if depth == 0 { // a number or a literal
				for b[i] != ',' && b[i] != '}' && b[i] != ']' && !isSpace(b[i]) {
					i++
				}
			}
		}
		if depth == 0 {
			return i
		}
	}
}

// unit returns the length of the first unit of a JSON string's text that must
// not be divided, and how many bytes of UTF-8 it represents.
func unit(s []byte) (n, bytes int) {
	if s[0] != '\\' {
		if s[0] < utf8.RuneSelf {
			return 1, 1
		}
		_, n = utf8.DecodeRune(s)
		return n, n
	}
	if s[1] != 'u' {
		return 2, 1
	}
	r := escaped(s)
	if r&^0x3ff == 0xd800 && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' && escaped(s[6:])&^0x3ff == 0xdc00 {
		return 12, 4
	}
	if r&^0x7ff == 0xd800 {
		return 6, len("\uFFFD") // a lone surrogate is read as this
	}
	return 6, utf8.RuneLen(r)
}

// escaped returns the value of the \uXXXX that s starts with.
func escaped(s []byte) (r rune) {
	for _, c := range s[2:6] {
		r = r<<4 | rune(hexValue(c))
	}
	return r
}

func textLen(s []byte) (total int64) {
	for len(s) > 0 {
		n, bytes := unit(s)
		total += int64(bytes)
		s = s[n:]
	}
	return total
}

// cutPoint returns the length of the longest sequence of whole units within
// limit.
func cutPoint(s []byte, limit int) (n int) {
	for n < len(s) {
		u, _ := unit(s[n:])
		if n+u > limit {
			break
		}
		n += u
	}
	return n
}
