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
	marks          bool // they are wanted
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// object validates the JSON object that starts at b[i], which must be '{', and
// finds its end in the same pass, and its marks if they are wanted. Errors are
// ErrInvalid and contain the offset in b.
//
// Lines are short (~170 bytes, five members, most of them strings), so the cost
// per token matters most: strings and missing white space take no call of their
// own.
func object(b []byte, i int, marks bool) (s span, err error) {
	s.marks = marks
	var high uint64
	s.end, high, err = s.members(b, i+1, 1, 0)
	s.high = high&highs != 0
	return s, err
}

// members validates an object at a depth, from after its brace. It returns the
// offset after its end. What stringEnd saw is collected in high.
func (s *span) members(b []byte, i, depth int, high uint64) (int, uint64, error) {
	if i = s.space(b, i); i < len(b) && b[i] == '}' {
		return i + 1, high, nil
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return i, high, unexpected(b, i, "a member name in quotes")
		}
		start := i + 1
		if i, high = stringEnd(b, start, high); i < 0 {
			return i, high, badString(b, -1-i)
		}
		if depth == 1 && s.marks {
			s.mark(b[start:i-1], i)
		}
		if i = s.space(b, i); i >= len(b) || b[i] != ':' {
			return i, high, unexpected(b, i, "':' after a member name")
		}
		i = s.space(b, i+1)
		if i < len(b) && b[i] == '"' {
			if i, high = stringEnd(b, i+1, high); i < 0 {
				return i, high, badString(b, -1-i)
			}
		} else {
			var err error
			if i, high, err = s.value(b, i, depth, high); err != nil {
				return i, high, err
			}
		}
		i = s.space(b, i)
		switch {
		case i >= len(b):
			return i, high, unexpected(b, i, "the end of the object")
		case b[i] == '}':
			return i + 1, high, nil
		case b[i] != ',':
			return i, high, unexpected(b, i, "',' or '}'")
		}
		i = s.space(b, i+1)
	}
}

// elements validates an array, as members does an object.
func (s *span) elements(b []byte, i, depth int, high uint64) (int, uint64, error) {
	if i = s.space(b, i); i < len(b) && b[i] == ']' {
		return i + 1, high, nil
	}
	for {
		var err error
		if i, high, err = s.value(b, s.space(b, i), depth, high); err != nil {
			return i, high, err
		}
		i = s.space(b, i)
		switch {
		case i >= len(b):
			return i, high, unexpected(b, i, "the end of the object")
		case b[i] == ']':
			return i + 1, high, nil
		case b[i] != ',':
			return i, high, unexpected(b, i, "',' or ']'")
		}
		i++
	}
}

// value validates a value within an object or array of a depth, and returns the
// offset after it.
func (s *span) value(b []byte, i, depth int, high uint64) (int, uint64, error) {
	if i >= len(b) {
		return i, high, unexpected(b, i, "a value")
	}
	literal := ""
	switch b[i] {
	case '"':
		if i, high = stringEnd(b, i+1, high); i < 0 {
			return i, high, badString(b, -1-i)
		}
		return i, high, nil
	case '{', '[':
		if depth == MaxDepth {
			return i, high, tooDeep(i)
		}
		if b[i] == '{' {
			return s.members(b, i+1, depth+1, high)
		}
		return s.elements(b, i+1, depth+1, high)
	case 'n':
		literal = "null"
	case 't':
		literal = "true"
	case 'f':
		literal = "false"
	default:
		i, err := numberEnd(b, i)
		return i, high, err
	}
	if len(b)-i < len(literal) || string(b[i:i+len(literal)]) != literal {
		return i, high, unexpected(b, i, "a value")
	}
	return i + len(literal), high, nil
}

// mark notes the place after a name that has a meaning.
func (s *span) mark(name []byte, i int) {
	switch string(name) {
	case "pos":
		s.pos = i
	case "time":
		s.time = i
	case "out":
		s.out = i
	}
}

// space skips white space, of which there is usually none.
func (s *span) space(b []byte, i int) int {
	if i >= len(b) || b[i] > ' ' {
		return i
	}
	return s.spaces(b, i)
}

func (s *span) spaces(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		s.breaks = s.breaks || b[i] == '\n' || b[i] == '\r'
		i++
	}
	return i
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
