package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/utf16"
)

const (
	// maxPlainLine is the length from which a row of an uploaded blob is no line
	// of ours, but text in pieces.
	maxPlainLine = logservice.DefaultMaxLineBytes
	// plainPiece is the size of these pieces: as JSON they are below the limit of
	// a line, even if every byte needs an escape.
	plainPiece = maxPlainLine / 8
)

// Plain reads an uploaded blob as batches of lines, starting at sequence 1: what
// its rows are, lines.Rows decides. A very long row comes in pieces. UTF-16 with a
// byte order mark is read as what it is. Its memory is limited to a few long
// lines, whatever it reads. It is used by one goroutine.
type Plain struct {
	r     *bufio.Reader
	at    time.Time
	next  int64
	chunk []byte // whole rows, read but not yet returned
	long  []byte // a part of the row after chunk, which is too long for a line
	open  bool   // the input is within that row
	err   error  // why the input ended

	read  int64 // bytes of the input so far
	mark  int64 // bytes before the source of the last batch
	first int64 // sequence of the first line at mark
	begun bool
	wide  bool // the input is UTF-16, of which only the beginning can be found again
}

// NewPlain returns a Plain that reads r, which is the input from offset on; its
// first line has the sequence next. Both are 0 and 1, or those of a Mark. Text gets
// the time at.
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
// beginning of a row included; then its error is returned.
func (p *Plain) Next() (*logs.Batch, error) {
	for len(p.chunk) == 0 && (len(p.long) == 0 || p.open && len(p.long) < plainPiece) {
		if err := p.fill(); err != nil {
			return nil, err
		}
	}
	o := lines.TextOptions{Pos: p.next - 1, Time: p.at, MaxLine: maxPlainLine, MaxBytes: maxFrame}
	if len(p.chunk) == 0 {
		b, err := p.piece(o)
		return p.batch(b), err
	}
	b, n, err := lines.Rows(p.chunk, frameTarget, o)
	if err != nil {
		return nil, err
	}
	p.chunk = p.chunk[n:]
	return p.batch(b), nil
}

func (p *Plain) batch(b logs.Lines) *logs.Batch {
	r := &logs.Batch{First: p.next, Count: b.Count, Data: b.Data}
	p.next += b.Count
	return r
}

// fill reads whole rows, about frameTarget bytes, into chunk, or the next part of
// a row that is too long.
func (p *Plain) fill() error {
	if p.err != nil {
		return p.err
	}
	if !p.begun {
		p.begin()
	}
	if p.open {
		p.readLong()
	} else {
		if !p.wide {
			p.mark, p.first = p.read, p.next
		}
		p.readRows()
	}
	switch {
	case p.err == nil || errors.Is(p.err, io.EOF):
	case logs.IsDamage(p.err) && len(p.chunk)+len(p.long) > 0: // there is no more, so this is returned first
	default:
		return fmt.Errorf("reading a blob: %w", p.err)
	}
	if len(p.chunk) == 0 && len(p.long) == 0 {
		return p.err
	}
	return nil
}

// begin looks at the first bytes.
func (p *Plain) begin() {
	p.begun = true
	if head, _ := p.r.Peek(2); p.next == 1 && utf16.Is(head) {
		p.r, p.wide = bufio.NewReaderSize(utf16.Reader(p.r), frameTarget), true
	}
}

func (p *Plain) readRows() {
	var chunk []byte
	for len(chunk) < frameTarget && p.err == nil {
		start := len(chunk)
		for p.err = bufio.ErrBufferFull; errors.Is(p.err, bufio.ErrBufferFull); {
			chunk = p.readPart(chunk)
			if errors.Is(p.err, bufio.ErrBufferFull) && len(chunk)-start > maxPlainLine {
				p.err, p.open = nil, true
				p.chunk, p.long = chunk[:start:start], chunk[start:]
				return
			}
		}
	}
	p.chunk = chunk
}

// readPart appends what comes up to the next line break, or the size of the
// buffer.
func (p *Plain) readPart(dst []byte) []byte {
	var part []byte
	part, p.err = p.r.ReadSlice('\n')
	p.read += int64(len(part))
	return append(dst, part...)
}

// readLong reads the next part of a long row.
func (p *Plain) readLong() {
	p.long = p.readPart(p.long)
	p.open = errors.Is(p.err, bufio.ErrBufferFull)
	if p.open {
		p.err = nil
	}
}

// piece returns the next piece of a long row.
func (p *Plain) piece(o lines.TextOptions) (logs.Lines, error) {
	n := min(plainPiece, len(p.long))
	o.Partial = n < len(p.long) || p.open
	// Not within a rune, of which the rest comes next.
	for i := n - 1; o.Partial && i > max(0, n-utf8.UTFMax); i-- {
		if utf8.RuneStart(p.long[i]) {
			if !utf8.FullRune(p.long[i:n]) {
				n = i
			}
			break
		}
	}
	b, err := lines.Text(p.long[:n], o)
	p.long = p.long[n:]
	return b, err
}
