package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/harness/log-service/internal/logs"

	"github.com/harness/log-service/internal/lines"

	logservice "github.com/harness/log-service"
)

const (
	// maxPlainLine is the length at which a line of an uploaded blob is cut.
	maxPlainLine = logservice.DefaultMaxLineBytes
	// textGroup limits how many lines of plain text are converted to JSON at
	// once: a line grows by some 100 bytes, so a group stays well below the
	// size of a batch.
	textGroup = 256
)

// Plain reads an uploaded blob as batches of lines, starting at sequence 1:
// JSON lines unchanged, every other line as a line with that text. Its memory
// is limited to a few long lines, whatever it reads. It is used by one
// goroutine.
type Plain struct {
	r     *bufio.Reader
	at    time.Time
	next  int64
	chunk []byte // whole lines, read but not yet returned
	long  []byte // the line after chunk was too long: the kept part of it
	size  int64  // and its full size
	err   error  // why the input ended

	read  int64 // bytes of the input so far
	mark  int64 // bytes before the source of the last batch
	first int64 // sequence of the first line at mark
}

// NewPlain returns a Plain that reads r, which is the input from offset on; its
// first line has the sequence next. Both are 0 and 1, or those of a Mark. Lines
// that are not JSON objects get the time at.
func NewPlain(r io.Reader, at time.Time, offset, next int64) *Plain {
	return &Plain{r: bufio.NewReaderSize(r, frameTarget), at: at, next: next, read: offset, mark: offset, first: next}
}

// Mark returns the position in the input of the lines of the last batch, or of
// some lines before them, for NewPlain.
func (p *Plain) Mark() (offset, next int64) { return p.mark, p.first }

// Sequence returns the sequence of the line after the last batch.
func (p *Plain) Sequence() int64 { return p.next }

// Next returns the next batch of about 256 KiB (one long line of JSON, at most
// 1 MiB, may exceed that), or io.EOF after the last one. The caller owns the
// memory of the batch. An input that is damaged is read up to there, the
// beginning of a line included; then its error is returned.
func (p *Plain) Next() (*logs.Batch, error) {
	if len(p.chunk) == 0 && p.long == nil {
		whole, err := p.fill()
		if err != nil {
			return nil, err
		}
		// The usual case, in one pass: only JSON lines. The copy is the batch's
		// memory.
		if b, err := lines.NDJSON(clone(whole), maxPlainLine); err == nil && b.Count > 0 && b.Count == countLines(whole) {
			return p.batch(b), nil
		}
		p.chunk = whole
	}
	if len(p.chunk) == 0 {
		b, err := p.cut()
		return p.batch(b), err
	}
	var b logs.Lines
	for len(p.chunk) > 0 && len(b.Data) < frameTarget {
		more, err := p.take(p.next + b.Count - 1)
		if err != nil {
			return nil, err
		}
		b.Data, b.Count = append(b.Data, more.Data...), b.Count+more.Count
	}
	return p.batch(b), nil
}

func (p *Plain) batch(b logs.Lines) *logs.Batch {
	r := &logs.Batch{First: p.next, Count: b.Count, Data: b.Data}
	p.next += b.Count
	return r
}

// take converts the next line of the chunk, or several lines of plain text, to
// JSON.
func (p *Plain) take(pos int64) (logs.Lines, error) {
	end := lineEnd(p.chunk)
	line := p.chunk[:end]
	if isObject(line) {
		if b, err := lines.NDJSON(clone(line), maxPlainLine); err == nil && b.Count == 1 {
			p.chunk = p.chunk[end:]
			return b, nil
		}
	} else {
		for n := 1; n < textGroup && end < len(p.chunk) && !isObject(p.chunk[end:]); n++ {
			more := lineEnd(p.chunk[end:])
			if end+more > frameTarget/4 {
				break
			}
			end += more
		}
	}
	text := p.chunk[:end]
	p.chunk = p.chunk[end:]
	return lines.Text(text, lines.TextOptions{Pos: pos, Time: p.at, MaxLine: maxPlainLine, MaxBytes: maxFrame})
}

// fill reads whole lines, about frameTarget bytes. A line longer than the limit
// ends up in p.long; there may be no others then.
func (p *Plain) fill() (chunk []byte, err error) {
	if p.err != nil {
		return nil, p.err
	}
	p.mark, p.first = p.read, p.next
	for len(chunk) < frameTarget && p.err == nil && p.long == nil {
		var part []byte
		part, p.err = p.r.ReadSlice('\n')
		p.read += int64(len(part))
		start := len(chunk)
		chunk = append(chunk, part...)
		if errors.Is(p.err, bufio.ErrBufferFull) {
			chunk = p.readLong(chunk, start)
		}
	}
	switch {
	case p.err == nil || errors.Is(p.err, io.EOF):
	case isDamage(p.err) && len(chunk)+len(p.long) > 0: // there is no more, so this is returned first
	default:
		return nil, fmt.Errorf("reading a blob: %w", p.err)
	}
	if p.next == 1 {
		chunk = bytes.TrimPrefix(chunk, []byte("\xef\xbb\xbf")) // a byte order mark
	}
	if len(chunk) == 0 && p.long == nil {
		return nil, io.EOF
	}
	return chunk, nil
}

// readLong continues reading a line longer than the buffer, which begins at
// chunk[start:]. Bytes beyond the limit are counted, but not kept.
func (p *Plain) readLong(chunk []byte, start int) []byte {
	size := int64(len(chunk) - start)
	for p.err = bufio.ErrBufferFull; errors.Is(p.err, bufio.ErrBufferFull); {
		var part []byte
		part, p.err = p.r.ReadSlice('\n')
		p.read += int64(len(part))
		size += int64(len(part))
		if free := start + maxPlainLine + 1 - len(chunk); free > 0 {
			chunk = append(chunk, part[:min(free, len(part))]...)
		}
	}
	if size > maxPlainLine {
		p.long, p.size = chunk[start:], size
		chunk = chunk[:start:start]
	}
	return chunk
}

// cut returns the line for the kept part of a line that is too long, whatever
// it contains.
func (p *Plain) cut() (logs.Lines, error) {
	const digits = 12 // space for the digits of a larger size
	b, err := lines.Text(p.long, lines.TextOptions{Pos: p.next - 1, Time: p.at, MaxLine: maxPlainLine - digits, MaxBytes: maxFrame})
	p.long = nil
	if i := bytes.LastIndex(b.Data, []byte(`"truncated":`)); err == nil && i >= 0 {
		// Text knows only the size of the kept part.
		b.Data = strconv.AppendInt(b.Data[:i+len(`"truncated":`)], p.size, 10)
		b.Data = append(b.Data, "}\n"...)
	}
	return b, err
}

func clone(b []byte) []byte {
	// One spare byte for the line break that the last line may lack.
	return append(make([]byte, 0, len(b)+1), b...)
}

func countLines(b []byte) int64 {
	n := int64(bytes.Count(b, newline))
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}

func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

func isObject(line []byte) bool {
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	return i < len(line) && line[i] == '{'
}
