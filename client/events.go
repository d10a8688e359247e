package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	logservice "github.com/harness/log-service"
)

const (
	// maxEventBytes limits one line of an event stream and the data of one
	// event. Servers limit a log's line to 1 MiB of JSON by default, and to
	// 64 MiB at most.
	maxEventBytes = 64<<20 + 64
	// eventBuffer is the initial size of a read. It grows with long lines.
	eventBuffer = 64 << 10
)

// event is one message of a text/event-stream.
type event struct {
	name string // of its event field; "" is a plain message
	// id is the position in the most recent id field: per the standard, an id
	// applies until the next one. Zero if it was none.
	id   logservice.Position
	data []byte // valid until the next call to next
}

// eventReader parses a text/event-stream as the HTML standard defines it
// (section 9.2.6): lines end in LF, CR or CRLF, data fields are joined with
// LF, comments and unknown fields are ignored, and an event is complete only
// after its blank line.
type eventReader struct {
	src     io.Reader
	max     int // maxEventBytes
	buf     []byte
	r, w    int   // buf[r:w] is read but not parsed
	scanned int   // how many of these contain no end of line
	err     error // of src
	begun   bool  // past the byte order mark
	skipLF  bool  // the last line ended in CR: a following LF belongs to it

	id   logservice.Position
	name string
	data []byte // of the event being read, each field followed by LF
}

func newEventReader(src io.Reader) *eventReader {
	return &eventReader{src: src, max: maxEventBytes, buf: make([]byte, eventBuffer)}
}

// next returns the next event. An event truncated by the end of the stream is not
// returned, with one exception: the end mark of older servers has no blank line.
func (s *eventReader) next() (event, error) {
	s.data, s.name = s.data[:0], ""
	for {
		line, err := s.line()
		if err != nil {
			if e := s.event(); errors.Is(err, io.EOF) && isEnd(e) {
				return e, nil
			}
			return event{}, err
		}
		if len(line) > 0 {
			if err := s.field(line); err != nil {
				return event{}, err
			}
			continue
		}
		if len(s.data) > 0 {
			return s.event(), nil
		}
		s.name = ""
	}
}

func (s *eventReader) event() event {
	return event{name: s.name, id: s.id, data: bytes.TrimSuffix(s.data, []byte{'\n'})}
}

// isEnd recognizes the mark after the last line of a log.
func isEnd(e event) bool { return e.name == "error" && string(e.data) == "eof" }

func (s *eventReader) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "data":
		if len(s.data)+len(value) > s.max {
			return s.tooLarge()
		}
		s.data = append(append(s.data, value...), '\n')
	case "event":
		if string(value) != s.name {
			s.name = string(value)
		}
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			s.id = position(value)
		}
	}
	return nil
}

// position parses an id; zero means none.
func position(b []byte) logservice.Position {
	if len(b) == 0 || b[0] < '0' || b[0] > '9' {
		return logservice.Position{}
	}
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return logservice.Position{Attempt: 1, Sequence: n}
	}
	p, err := logservice.ParsePosition(string(b))
	if err != nil {
		return logservice.Position{}
	}
	return p
}

// line returns the next line without its terminator, valid until the next call.
// An unterminated line is not returned.
func (s *eventReader) line() ([]byte, error) {
	for {
		if s.skipLF && s.r < s.w {
			if s.buf[s.r] == '\n' {
				s.r++
			}
			s.skipLF = false
		}
		if end := s.lineEnd(); end >= 0 {
			line := s.buf[s.r:end]
			s.skipLF = s.buf[end] == '\r'
			s.r, s.scanned = end+1, 0
			if !s.begun {
				s.begun = true
				line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
			}
			return line, nil
		}
		s.scanned = s.w - s.r
		if s.scanned > s.max {
			return nil, s.tooLarge()
		}
		if s.err != nil {
			return nil, s.err
		}
		s.fill()
	}
}

// lineEnd returns the end of the first line in the buffer, or -1.
func (s *eventReader) lineEnd() int {
	from := s.r + s.scanned
	fresh := s.buf[from:s.w]
	i := bytes.IndexByte(fresh, '\n')
	if i >= 0 {
		fresh = fresh[:i]
	}
	if j := bytes.IndexByte(fresh, '\r'); j >= 0 {
		i = j
	}
	if i < 0 {
		return -1
	}
	return from + i
}

// fill makes free space in the buffer and reads once.
func (s *eventReader) fill() {
	if s.r > 0 {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	if s.w == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	n, err := s.src.Read(s.buf[s.w:])
	s.w += n
	s.err = err
}

func (s *eventReader) tooLarge() error {
	return fmt.Errorf("event over %d bytes: %w", s.max, logservice.ErrTooLarge)
}
