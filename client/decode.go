package client

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	logservice "github.com/harness/log-service"
)

// decodeLine parses the JSON of a line into l. Lines in the form that writers
// send are parsed in one pass with one allocation; all others are left to
// logservice.Line, so the two always agree.
func decodeLine(data []byte, l *logservice.Line) error {
	*l = logservice.Line{}
	if decodePlain(data, l) {
		return nil
	}
	*l = logservice.Line{}
	return json.Unmarshal(data, l)
}

// decodePlain returns false, with l in an undefined state, if the object has
// members that a writer's line lacks, or members of other types.
func decodePlain(data []byte, l *logservice.Line) bool {
	s := plainScanner{rest: data}
	if !s.next('{') {
		return false
	}
	ours := false
	for {
		name, escaped, ok := s.text()
		if !ok || escaped || !s.next(':') || !s.member(string(name), l) {
			return false
		}
		ours = ours || string(name) == "out"
		if s.next(',') {
			continue
		}
		return ours && s.next('}') && s.end()
	}
}

// plainScanner reads JSON tokens from rest.
type plainScanner struct{ rest []byte }

func (s *plainScanner) member(name string, l *logservice.Line) bool {
	switch name {
	case "out":
		v, ok := s.string()
		l.Out = v
		return ok
	case "level":
		v, escaped, ok := s.text()
		l.Level = levelName(v)
		return ok && !escaped
	case "time":
		v, escaped, ok := s.text()
		return ok && !escaped && readTime(v, &l.Time)
	case "pos":
		n, ok := s.integer()
		l.Pos = n
		return ok
	case "args":
		l.Args = nil
		return s.literal("null")
	case "partial":
		l.Partial = s.literal("true")
		return l.Partial
	}
	return false
}

func (s *plainScanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t' || s.rest[0] == '\n' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

func (s *plainScanner) next(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *plainScanner) end() bool {
	s.space()
	return len(s.rest) == 0
}

func (s *plainScanner) literal(name string) bool {
	s.space()
	var ok bool
	s.rest, ok = bytes.CutPrefix(s.rest, []byte(name))
	return ok
}

// integer rejects fractions, exponents and numbers of 19 or more digits.
func (s *plainScanner) integer() (int64, bool) {
	s.space()
	i := 0
	for i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9' {
		i++
	}
	if i == 0 || i > 18 || (s.rest[0] == '0' && i > 1) {
		return 0, false
	}
	if i < len(s.rest) && (s.rest[i] == '.' || s.rest[i] == 'e' || s.rest[i] == 'E') {
		return 0, false
	}
	n, err := strconv.ParseInt(string(s.rest[:i]), 10, 64)
	s.rest = s.rest[i:]
	return n, err == nil
}

// text returns the content of the next string, with its escapes.
func (s *plainScanner) text() (inner []byte, escaped, ok bool) {
	if !s.next('"') {
		return nil, false, false
	}
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			inner, s.rest = s.rest[:i], s.rest[i+1:]
			return inner, escaped, utf8.Valid(inner)
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return nil, false, false
		}
	}
	return nil, false, false
}

func (s *plainScanner) string() (string, bool) {
	inner, escaped, ok := s.text()
	if !ok || !escaped {
		return string(inner), ok
	}
	var text strings.Builder
	text.Grow(len(inner))
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			text.Write(inner)
			return text.String(), true
		}
		c, known := unescape(inner[i+1])
		if !known {
			return "", false
		}
		text.Write(inner[:i])
		text.WriteByte(c)
		inner = inner[i+2:]
	}
}

// unescape decodes single-character escapes.
func unescape(c byte) (byte, bool) {
	switch c {
	case '"', '\\', '/':
		return c, true
	case 'n':
		return '\n', true
	case 't':
		return '\t', true
	case 'r':
		return '\r', true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	}
	return 0, false
}

// levelName avoids an allocation for common levels.
func levelName(b []byte) string {
	switch string(b) {
	case "info":
		return "info"
	case "INFO":
		return "INFO"
	case "warn":
		return "warn"
	case "error":
		return "error"
	case "debug":
		return "debug"
	}
	return string(b)
}

func readTime(b []byte, t *time.Time) bool {
	v, ok := logservice.ParseTimeText(b)
	*t = v
	return ok
}
