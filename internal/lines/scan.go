package lines

import (
	"encoding/binary"
	"math/bits"

	logservice "github.com/harness/log-service"
)

// span is the result of scanning one object.
type span struct {
	end    int  // offset after the closing brace
	breaks bool // white space between tokens contains \n or \r
	high   bool // bytes from 0x80 on, or escapes of surrogates, may occur: check the UTF-8
	// The offsets after the names of the top-level members "pos", "time" and "out",
	// the last ones of that name; 0 if there is none, or if they were not wanted.
	pos, time, out int
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// object validates the JSON object that starts at b[i], which must be '{', and
// finds its end in the same pass, and its marks if they are wanted. Errors are
// ErrInvalid and contain the offset in b.
//
// It is one flat loop without calls for white space and structure: lines are
// short (~170 bytes, five members), so the cost per token matters most.
func object(b []byte, i int, marks bool) (s span, err error) {
	var (
		stack uint64 // one bit per level, the lowest is the innermost: 1 object, 0 array
		depth int
		high  uint64
		c     byte
		start int
	)

openObject:
	if depth++; depth > MaxDepth {
		return s, tooDeep(i)
	}
	stack = stack<<1 | 1
	i++
	for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
		s.breaks = s.breaks || b[i] == '\n' || b[i] == '\r'
		i++
	}
	if i < len(b) && b[i] == '}' {
		i++
		goto closed
	}

member:
	if i >= len(b) || b[i] != '"' {
		return s, unexpected(b, i, "a member name in quotes")
	}
	start = i + 1
	if i, high = stringEnd(b, start, high); i < 0 {
		return s, badString(b, -1-i)
	}
	if marks && depth == 1 {
		switch string(b[start : i-1]) {
		case "pos":
			s.pos = i
		case "time":
			s.time = i
		case "out":
			s.out = i
		}
	}
	for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
		s.breaks = s.breaks || b[i] == '\n' || b[i] == '\r'
		i++
	}
	if i >= len(b) || b[i] != ':' {
		return s, unexpected(b, i, "':' after a member name")
	}
	i++

value:
	for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
		s.breaks = s.breaks || b[i] == '\n' || b[i] == '\r'
		i++
	}
	if i >= len(b) {
		return s, unexpected(b, i, "a value")
	}
	switch c = b[i]; c {
	case '"':
		if i, high = stringEnd(b, i+1, high); i < 0 {
			return s, badString(b, -1-i)
		}
	case '{':
		goto openObject
	case '[':
		if depth++; depth > MaxDepth {
			return s, tooDeep(i)
		}
		stack <<= 1
		i++
		for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
			s.breaks = s.breaks || b[i] == '\n' || b[i] == '\r'
			i++
		}
		if i < len(b) && b[i] == ']' {
			i++
			goto closed
		}
		goto value
	case 'n':
		if len(b)-i < 4 || string(b[i:i+4]) != "null" {
			return s, unexpected(b, i, "a value")
		}
		i += 4
	case 't':
		if len(b)-i < 4 || string(b[i:i+4]) != "true" {
			return s, unexpected(b, i, "a value")
		}
		i += 4
	case 'f':
		if len(b)-i < 5 || string(b[i:i+5]) != "false" {
			return s, unexpected(b, i, "a value")
		}
		i += 5
	default:
		if i, err = numberEnd(b, i); err != nil {
			return s, err
		}
	}

after:
	for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
		s.breaks = s.breaks || b[i] == '\n' || b[i] == '\r'
		i++
	}
	if i >= len(b) {
		return s, unexpected(b, i, "the end of the object")
	}
	if stack&1 == 1 {
		switch b[i] {
		case ',':
			i++
			for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
				s.breaks = s.breaks || b[i] == '\n' || b[i] == '\r'
				i++
			}
			goto member
		case '}':
			i++
			goto closed
		}
		return s, unexpected(b, i, "',' or '}'")
	}
	switch b[i] {
	case ',':
		i++
		goto value
	case ']':
		i++
		goto closed
	}
	return s, unexpected(b, i, "',' or ']'")

closed:
	stack >>= 1
	if depth--; depth > 0 {
		goto after
	}
	s.end = i
	s.high = high&highs != 0
	return s, nil
}

// stringEnd returns the offset after the quote that closes the string whose
// text starts at i. On an error it returns -1 minus the offset of the invalid
// byte. It processes eight bytes at a time and ORs them into high, including a
// few after the string's end: a set high bit there is only a hint.
func stringEnd(b []byte, i int, high uint64) (int, uint64) {
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			high |= x
			quote := x ^ ('"' * ones)
			slash := x ^ ('\\' * ones)
			// A byte's top bit is set if it is '"', '\\' or below 0x20. A
			// borrow can set bits above the lowest hit, never below.
			hit := ((quote-ones)&^quote | (slash-ones)&^slash | (x-' '*ones)&^x) & highs
			if hit != 0 {
				i += bits.TrailingZeros64(hit) >> 3
				goto special
			}
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
			high |= uint64(b[i])
			i++
		}
	special:
		if i >= len(b) {
			return -1 - i, high
		}
		if b[i] == '"' {
			return i + 1, high
		}
		n := 0
		if b[i] == '\\' {
			n = escapeLen(b[i:])
		}
		if n == 0 {
			return -1 - i, high
		}
		if n == len(`\uXXXX`) && isSurrogate(b[i:]) {
			high |= highs
		}
		i += n
	}
}

// badString returns the error for an invalid string at i.
func badString(b []byte, i int) error {
	switch {
	case i >= len(b):
		return unexpected(b, i, "'\"' at the end of a string")
	case b[i] == '\\':
		return unexpected(b, i, "a valid escape sequence")
	}
	return logservice.Invalidf("invalid JSON at byte %d: control character 0x%02x inside a string: escape it", i, b[i])
}

// escapeLen returns the length of the escape sequence that b starts with, or 0
// if it is invalid. Any \uXXXX is valid; see mendSurrogates.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if hexValue(c) < 0 {
				return 0
			}
		}
		return 6
	}
	return 0
}

// numberEnd returns the offset after the number that starts at i.
func numberEnd(b []byte, i int) (int, error) {
	start := i
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && isDigit(b[i]):
		i = digits(b, i)
	default:
		if i == start {
			return i, unexpected(b, i, "a value")
		}
		return i, unexpected(b, i, "a digit")
	}
	if i < len(b) && b[i] == '.' {
		i++
		if i >= len(b) || !isDigit(b[i]) {
			return i, unexpected(b, i, "a digit")
		}
		i = digits(b, i)
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i >= len(b) || !isDigit(b[i]) {
			return i, unexpected(b, i, "a digit")
		}
		i = digits(b, i)
	}
	return i, nil
}

func digits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }
func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func hexValue(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

func tooDeep(i int) error {
	return logservice.Invalidf("invalid JSON at byte %d: nested deeper than %d levels", i, MaxDepth)
}

func unexpected(b []byte, i int, want string) error {
	if i >= len(b) {
		return logservice.Invalidf("invalid JSON at byte %d: ends where %s should be", len(b), want)
	}
	return logservice.Invalidf("invalid JSON at byte %d: %q where %s should be", i, b[i], want)
}
