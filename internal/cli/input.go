package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	logservice "github.com/harness/log-service"
)

// Kinds of upload input.
const (
	inputAuto = "auto"
	inputJSON = "json" // JSON lines, or an array of lines
	inputText = "text"
)

const (
	// peekBytes is how much of an input is examined to detect its kind: more than
	// a typical first line.
	peekBytes = 64 << 10
	// maxTextLine is where a longer line of text is split. It limits memory, and
	// keeps the JSON below the server's default limit even if every byte needs an
	// escape.
	maxTextLine = logservice.DefaultMaxLineBytes / 8
)

// jsonLines converts input to JSON lines as the service stores them, holding one
// line in memory at a time. JSON lines pass unchanged (and are validated if kind says
// that they are JSON); the objects of an array become one line each; each line of
// any other text becomes the "out" of a line with the time now.
func jsonLines(r io.Reader, kind string, now time.Time) io.Reader {
	br := bufio.NewReaderSize(r, peekBytes)
	if kind == inputAuto || kind == inputJSON {
		head, _ := br.Peek(peekBytes) // the next read returns any error
		switch {
		case startsArray(head, kind):
			return &converter{next: arrayLines(br)}
		case kind == inputJSON:
			return &converter{next: valueLines(br)}
		case startsObject(head):
			return br
		}
	}
	return &converter{next: textLines(br, now)}
}

// startsObject reports whether the first line of head is a JSON object, or a
// prefix of one that is cut off at the end of head. The log of a program that
// prints "{" is text.
func startsObject(head []byte) bool {
	head = bytes.TrimLeft(head, "\r\n\t ")
	line, _, whole := bytes.Cut(head, []byte("\n"))
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	if !whole && len(head) >= peekBytes/2 {
		return cutValue(line)
	}
	return jsontext.Value(line).IsValid()
}

// startsArray reports whether head starts an array of objects. A log line such as
// "[INFO] starting" is text.
func startsArray(head []byte, kind string) bool {
	head = bytes.TrimLeft(head, "\r\n\t ")
	if len(head) == 0 || head[0] != '[' {
		return false
	}
	rest := bytes.TrimLeft(head[1:], "\r\n\t ")
	if kind == inputJSON {
		return true
	}
	return len(rest) > 0 && (rest[0] == '{' && cutValue(rest) || rest[0] == ']')
}

// cutValue reports whether p starts with a JSON value or a prefix of one.
func cutValue(p []byte) bool {
	_, err := jsontext.NewDecoder(bytes.NewReader(p)).ReadValue()
	return err == nil || errors.Is(err, io.ErrUnexpectedEOF)
}

// converter is an io.Reader of what next appends.
type converter struct {
	next func(dst []byte) ([]byte, error)
	buf  []byte
	off  int
	err  error
}

func (c *converter) Read(p []byte) (int, error) {
	for c.off == len(c.buf) {
		if c.err != nil {
			return 0, c.err
		}
		c.buf, c.err = c.next(c.buf[:0])
		c.off = 0
	}
	n := copy(p, c.buf[c.off:])
	c.off += n
	return n, nil
}

// arrayLines yields the elements of an array, one per line.
func arrayLines(r io.Reader) func(dst []byte) ([]byte, error) {
	dec := decoder(r)
	begun := false
	return func(dst []byte) ([]byte, error) {
		if !begun {
			begun = true
			if _, err := dec.ReadToken(); err != nil {
				return dst, badJSON(err)
			}
		}
		if dec.PeekKind() == ']' {
			if _, err := dec.ReadToken(); err != nil {
				return dst, badJSON(err)
			}
			if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
				return dst, &usage{err: fmt.Errorf("text after the end of the JSON array, at byte %d", dec.InputOffset())}
			}
			return dst, io.EOF
		}
		v, err := readObject(dec)
		if err == nil {
			err = v.Compact()
		}
		if err != nil {
			return dst, badJSON(err)
		}
		return append(append(dst, v...), '\n'), nil
	}
}

// valueLines yields consecutive objects, one per line. Objects that are already on
// one line are unchanged.
func valueLines(r io.Reader) func(dst []byte) ([]byte, error) {
	dec := decoder(r)
	return func(dst []byte) ([]byte, error) {
		v, err := readObject(dec)
		if err == io.EOF { //nolint:errorlint // wrapped it is one inside a value
			return dst, io.EOF
		}
		if err == nil && bytes.IndexByte(v, '\n') >= 0 {
			err = v.Compact()
		}
		if err != nil {
			return dst, badJSON(err)
		}
		return append(append(dst, v...), '\n'), nil
	}
}

func decoder(r io.Reader) *jsontext.Decoder {
	return jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func readObject(dec *jsontext.Decoder) (jsontext.Value, error) {
	switch dec.PeekKind() {
	case '{', 0: // 0: the value returns the error
		return dec.ReadValue()
	}
	return nil, fmt.Errorf("not an object, at byte %d", dec.InputOffset())
}

func badJSON(err error) error { return &usage{err: fmt.Errorf("malformed JSON: %w", err)} }

// textLines yields a JSON line for each line of text.
func textLines(r *bufio.Reader, now time.Time) func(dst []byte) ([]byte, error) {
	stamp := now.UTC().Format(time.RFC3339Nano)
	var line []byte // of text; reused
	pos := 0
	return func(dst []byte) ([]byte, error) {
		var err error
		line, err = textLine(r, line[:0])
		if len(line) == 0 {
			return dst, err
		}
		dst = fmt.Appendf(dst, `{"level":"info","pos":%d,"out":`, pos)
		// The error only reports that invalid UTF-8 became U+FFFD.
		dst, _ = jsontext.AppendQuote(dst, line)
		dst = fmt.Appendf(dst, `,"time":%q,"args":null}`, stamp)
		pos++
		return append(dst, '\n'), err
	}
}

// textLine appends the next line with its line break, or maxTextLine bytes of it.
func textLine(r *bufio.Reader, line []byte) ([]byte, error) {
	for len(line) < maxTextLine {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
	// Split between runes: the rest of a rune may still be in the reader. At
	// the end of the input Peek returns less than requested.
	rest, _ := r.Peek(utf8.UTFMax - 1)
	n := 0
	for n < len(rest) && !utf8.RuneStart(rest[n]) {
		n++
	}
	line = append(line, rest[:n]...)
	_, err := r.Discard(n)
	return line, err
}
