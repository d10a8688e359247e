package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// Account is the one that all scenarios use.
const Account = "bench"

// StreamPath is the path of a live log.
func StreamPath(key string) string {
	return "/stream?accountID=" + Account + "&key=" + url.QueryEscape(key)
}

// BlobPath is the path of a finished log.
func BlobPath(key string) string {
	return "/blob?accountID=" + Account + "&key=" + url.QueryEscape(key)
}

// maxHead bounds the head of an answer: more is not an HTTP server.
const maxHead = 16 << 10

// Answer parses one HTTP/1.1 response as its bytes arrive, in pieces of any
// size: a head, then a body by Content-Length, in chunks, or until the
// connection ends. It keeps no body; onBody sees its pieces.
type Answer struct {
	Status int
	Zstd   bool  // the body is compressed
	length int64 // of the body, -1 until the connection ends
	OnBody func(p []byte) error

	state   answerState
	chunked bool
	left    int64  // bytes of the body or chunk to come
	part    []byte // an unfinished head or chunk size line
}

type answerState uint8

const (
	inHead answerState = iota
	inBody             // left bytes, or all of them when length is -1
	inChunkSize
	inChunk
	inChunkEnd // the \r\n after a chunk
	inTrailer
	inDone
)

// Reset makes a ready for the next response of the connection.
func (a *Answer) Reset() { *a = Answer{OnBody: a.OnBody, part: a.part[:0]} }

// Done reports whether the response is complete.
func (a *Answer) Done() bool { return a.state == inDone }

// Feed parses b, which must not hold bytes of a next response.
func (a *Answer) Feed(b []byte) error {
	for len(b) > 0 {
		var err error
		switch a.state {
		case inHead:
			b, err = a.head(b)
		case inBody, inChunk:
			b, err = a.body(b)
		case inChunkSize:
			b, err = a.chunkSize(b)
		case inChunkEnd, inTrailer:
			b, err = a.lineEnd(b)
		case inDone:
			return fmt.Errorf("%d bytes after the end of a response", len(b))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Answer) head(b []byte) (rest []byte, err error) {
	old := len(a.part)
	a.part = append(a.part, b...)
	end := bytes.Index(a.part[max(0, old-3):], []byte("\r\n\r\n"))
	if end < 0 {
		if len(a.part) > maxHead {
			return nil, errors.New("head of an answer too long")
		}
		return nil, nil
	}
	end += max(0, old-3) + 4
	rest = b[end-old:]
	if err := a.parseHead(a.part[:end]); err != nil {
		return nil, err
	}
	a.part = a.part[:0]
	return rest, nil
}

func (a *Answer) parseHead(h []byte) error {
	if len(h) < 15 || !bytes.HasPrefix(h, []byte("HTTP/1.1 ")) {
		return fmt.Errorf("not an HTTP/1.1 answer: %q", h[:min(len(h), 40)])
	}
	status, err := strconv.Atoi(string(h[9:12]))
	if err != nil {
		return fmt.Errorf("status %q", h[9:12])
	}
	a.Status, a.length = status, -1
	if status == 204 || status == 304 {
		a.length = 0
	}
	for line := range bytes.SplitSeq(h, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if a.length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return fmt.Errorf("length %q", value)
			}
		case bytes.EqualFold(name, []byte("Content-Encoding")):
			a.Zstd = bytes.EqualFold(value, []byte("zstd"))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			a.chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	switch {
	case a.chunked:
		a.state = inChunkSize
	case a.length == 0:
		a.state = inDone
	default:
		a.state, a.left = inBody, a.length
	}
	return nil
}

func (a *Answer) body(b []byte) (rest []byte, err error) {
	n := int64(len(b))
	if a.left >= 0 {
		n = min(n, a.left)
		a.left -= n
	}
	if a.OnBody != nil {
		if err := a.OnBody(b[:n]); err != nil {
			return nil, err
		}
	}
	if a.left == 0 {
		a.state = inDone
		if a.chunked {
			a.state = inChunkEnd
		}
	}
	return b[n:], nil
}

// line takes b up to its line break, joined to what came before; ok is false
// if more must arrive.
func (a *Answer) line(b []byte) (line, rest []byte, ok bool, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		if a.part = append(a.part, b...); len(a.part) > maxHead {
			return nil, nil, false, errors.New("line of an answer too long")
		}
		return nil, nil, false, nil
	}
	line = b[:i]
	if len(a.part) > 0 {
		line = append(a.part, line...)
		a.part = a.part[:0]
	}
	return bytes.TrimSuffix(line, []byte{'\r'}), b[i+1:], true, nil
}

func (a *Answer) chunkSize(b []byte) (rest []byte, err error) {
	line, rest, ok, err := a.line(b)
	if !ok {
		return nil, err
	}
	if a.left, err = hex(line); err != nil {
		return nil, err
	}
	a.state = inChunk
	if a.left == 0 {
		a.state = inTrailer
	}
	return rest, nil
}

// hex parses a chunk's size, which may be followed by extensions after ';'.
func hex(line []byte) (n int64, err error) {
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	if len(line) == 0 || len(line) > 15 {
		return 0, fmt.Errorf("chunk size %q", line)
	}
	for _, c := range line {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, fmt.Errorf("chunk size %q", line)
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

// lineEnd consumes the line break after a chunk, or the trailer.
func (a *Answer) lineEnd(b []byte) (rest []byte, err error) {
	line, rest, ok, err := a.line(b)
	if !ok {
		return nil, err
	}
	switch {
	case a.state == inChunkEnd && len(line) == 0:
		a.state = inChunkSize
	case a.state == inChunkEnd:
		return nil, fmt.Errorf("%q after a chunk", line)
	case len(line) == 0:
		a.state = inDone
	}
	return rest, nil
}
