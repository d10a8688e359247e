package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/utf16"
)

// Formats of an upload.
const (
	inputAuto = "auto"
	inputJSON = "json" // JSON lines, or an array of lines
	inputText = "text"
	inputRaw  = "raw" // byte for byte
)

const (
	// peekBytes is how much of an input is examined to detect its kind: more than
	// a typical first line.
	peekBytes = 64 << 10
	// maxTextLine is where a longer line of text is split into pieces. It limits
	// memory, and keeps the JSON below the server's default limit even if every
	// byte needs an escape.
	maxTextLine = logservice.DefaultMaxLineBytes / 8
)

// input converts a file, or standard input, to JSON lines as the service stores
// them, holding one line in memory at a time. JSON lines pass unchanged (and are
// validated if the format says that they are JSON); the objects of an array become
// one line each; each line of any other text becomes the "out" of a line with the
// time now. What is compressed, or UTF-16, is what it holds.
type input struct {
	io.Reader
	replaced int64    // bytes that are not UTF-8
	spool    *os.File // a copy of the input, or nil
}

func newInput(r io.Reader, format string, now time.Time) *input {
	in := &input{}
	if format == inputRaw {
		in.Reader = r
		return in
	}
	br, err := decoded(bufio.NewReaderSize(r, peekBytes))
	if err != nil {
		in.Reader = failedReader{err}
		return in
	}
	in.Reader = in.lines(br, format, now)
	return in
}

// Close removes the copy, if there is one.
func (in *input) Close() error {
	if in.spool == nil {
		return nil
	}
	return errors.Join(in.spool.Close(), os.Remove(in.spool.Name()))
}

// lines returns the JSON lines of br.
func (in *input) lines(br *bufio.Reader, format string, now time.Time) io.Reader {
	head, end := br.Peek(peekBytes) // the next read returns any error
	whole := errors.Is(end, io.EOF)
	switch {
	case format == inputJSON && bytes.HasPrefix(trimmed(head), []byte("[")):
		return &converter{next: arrayLines(br)}
	case format == inputJSON:
		return &converter{next: valueLines(br)}
	case format == inputText:
	case startsObject(head):
		return br
	case startsArray(head) && !whole:
		return in.spooled(br, now)
	case startsArray(head):
		if array, err := isArray(bytes.NewReader(head)); array || err != nil {
			return orFailed(&converter{next: arrayLines(br)}, err)
		}
	case isBinary(head):
		return failedReader{&usage{
			err: errors.New("the input is not text"), hint: "--format raw stores it byte for byte, --format text as far as it is UTF-8",
		}}
	}
	return &converter{next: in.textLines(br, now)}
}

// spooled reads what begins like an array, and is too long to know whether it is
// one: an error at its end would lose what a pipe has held. So it is copied to a
// file first.
func (in *input) spooled(r io.Reader, now time.Time) io.Reader {
	f, err := os.CreateTemp("", "log-service-upload-")
	if err != nil {
		return failedReader{err}
	}
	in.spool = f
	array, bad := isArray(io.TeeReader(r, f))
	if _, err := io.Copy(f, r); err != nil || bad != nil {
		return failedReader{cmp.Or(bad, err)}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return failedReader{err}
	}
	if array {
		return &converter{next: arrayLines(f)}
	}
	return &converter{next: in.textLines(bufio.NewReaderSize(f, peekBytes), now)}
}

// decoded returns what a compressed input holds, and UTF-16 with a byte order mark
// as UTF-8.
func decoded(br *bufio.Reader) (*bufio.Reader, error) {
	head, _ := br.Peek(4)
	var r io.Reader
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 0x08}):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		r = z
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		r = z
	}
	if r != nil {
		br = bufio.NewReaderSize(r, peekBytes)
		head, _ = br.Peek(4)
	}
	if utf16.Is(head) {
		br = bufio.NewReaderSize(utf16.Reader(br), peekBytes)
	}
	return br, nil
}

// isBinary reports whether a file that begins with head is no text: it has a NUL,
// or much of it is not UTF-8.
func isBinary(head []byte) bool {
	return bytes.IndexByte(head, 0) >= 0 || invalidBytes(head) > len(head)/10
}

// invalidBytes counts the bytes that are not UTF-8. A rune that is cut off at the
// end is not counted.
func invalidBytes(p []byte) (n int) {
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && size == 1 && utf8.FullRune(p) {
			n++
		}
		p = p[size:]
	}
	return n
}

// startsObject reports whether the first line of head is a JSON object, or a
// prefix of one that is cut off at the end of head. The log of a program that
// prints "{" is text.
func startsObject(head []byte) bool {
	line, _, whole := bytes.Cut(trimmed(head), []byte("\n"))
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	if !whole && len(head) >= peekBytes/2 {
		return cutValue(line)
	}
	return jsontext.Value(line).IsValid()
}

// startsArray reports whether head starts an array, of objects or an empty one. A
// log line such as "[INFO] starting" is text.
func startsArray(head []byte) bool {
	rest, ok := bytes.CutPrefix(trimmed(head), []byte("["))
	rest = trimmed(rest)
	return ok && len(rest) > 0 && (rest[0] == '{' && cutValue(rest) || rest[0] == ']')
}

// trimmed is what comes after a byte order mark and white space.
func trimmed(head []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), "\r\n\t ")
}

// isArray reports whether r is an array of objects, and nothing else. It reads no
// further than it has to know. An array that breaks off is an error: it is no text,
// but a part of a file.
func isArray(r io.Reader) (bool, error) {
	next := arrayLines(r)
	for {
		_, err := next(nil)
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return false, err
		case err != nil:
			return false, nil
		}
	}
}

// cutValue reports whether p starts with a JSON value or a prefix of one.
func cutValue(p []byte) bool {
	_, err := jsontext.NewDecoder(bytes.NewReader(p)).ReadValue()
	return err == nil || errors.Is(err, io.ErrUnexpectedEOF)
}

func orFailed(r io.Reader, err error) io.Reader {
	if err != nil {
		return failedReader{err}
	}
	return r
}

// failedReader is an input that cannot be read.
type failedReader struct{ err error }

func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

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
	dec := decoder(withoutMark(r))
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
	dec := decoder(withoutMark(r))
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

// withoutMark skips a byte order mark.
func withoutMark(r io.Reader) io.Reader {
	br := bufio.NewReaderSize(r, peekBytes)
	if head, _ := br.Peek(3); string(head) == "\ufeff" {
		_, _ = br.Discard(len(head))
	}
	return br
}

// textLines yields a JSON line for each line of text, and for each piece of a long
// one.
func (in *input) textLines(r *bufio.Reader, now time.Time) func(dst []byte) ([]byte, error) {
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
		var invalid error // UTF-8 that became U+FFFD
		invalidCount := 0
		if dst, invalid = jsontext.AppendQuote(dst, line); invalid != nil {
			invalidCount = invalidBytes(line)
		}
		dst = fmt.Appendf(dst, `,"time":%q,"args":null`, stamp)
		if invalidCount > 0 {
			in.replaced += int64(invalidCount)
			dst = fmt.Appendf(dst, `,"replaced":%d`, invalidCount)
		}
		if line[len(line)-1] != '\n' && err == nil {
			dst = append(dst, `,"partial":true`...)
		}
		pos++
		return append(dst, "}\n"...), err
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
