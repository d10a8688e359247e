package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/screen"
)

const (
	// lookahead is how many lines of other writers may come between the pieces of
	// a line that has ended.
	lookahead = 32
	// previewAfter is when a line that has not ended is shown as far as it is.
	previewAfter = 100 * time.Millisecond
)

// errNothing is the result of --grep that finds nothing.
var errNothing = errors.New("no line matches")

// printer prints the lines of a log as the flags say.
type printer struct {
	out      *liveWriter
	terminal bool
	json     bool
	raw      bool
	colors   bool

	number, timestamps, elapsed bool

	first  time.Time // of the log
	period period
	grep   grep

	mu      sync.Mutex // guards the fields below; held while printing
	join    lines.Joiner
	row     screen.Row
	buf     []byte // reused
	written written
	inRow   bool // raw output is within a row
	printed bool
	// replaced counts the bytes that are not UTF-8 in the lines so far.
	replaced int64
	live     *time.Timer // shows a line that has not ended; nil if none is shown
	shown    string      // of that line
}

// entry is a line to print.
type entry struct {
	lines.Line
	line     logservice.Line
	text     []byte // as it is seen
	hasText  bool
	matches  bool
	separate bool // from the line before it
}

func (f *readFlags) printer(s *session) (p *printer, err error) {
	p = &printer{
		out: newLiveWriter(s.Stdout), terminal: isTerminal(s.Stdout), json: f.Output == "json", raw: f.Raw, colors: s.colours(),
		number: f.Number, timestamps: f.Timestamps, elapsed: f.Elapsed,
	}
	if p.period, err = f.period(); err != nil {
		return nil, err
	}
	p.grep, err = f.selection(s.root.V)
	if f.Grep != "" {
		s.root.V = false // it was not --verbose
	}
	p.row.Colors = p.colors
	return p, err
}

// begin starts printing, of a log that is followed or of what exists.
func (p *printer) begin(follow bool) {
	if !follow {
		p.join.Lookahead = lookahead
	} else if !p.json && !p.raw && p.grep.re == nil && !p.period.limited() {
		p.live = time.AfterFunc(time.Hour, p.preview)
		p.live.Stop()
	}
}

// add prints the next line of the log, or keeps a piece of one until the line
// ends.
func (p *printer) add(l lines.Line) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.raw && p.grep.re == nil {
		return p.whole(l)
	}
	if err := p.join.Add(l, p.whole); err != nil {
		return err
	}
	if _, open := p.join.Open(); open && p.live != nil {
		p.live.Reset(previewAfter)
	}
	return nil
}

// end prints what is left when the log ends.
func (p *printer) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.join.Flush(p.whole)
}

// result reports whether a search found nothing.
func (p *printer) result() error {
	if p.grep.re != nil && !p.grep.matched {
		return errNothing
	}
	return nil
}

// Close writes what is buffered.
func (p *printer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live != nil {
		p.live.Stop()
		p.live = nil
	}
	return p.out.Close()
}

// whole prints a line if it is selected.
func (p *printer) whole(l lines.Line) error {
	e := &entry{Line: l}
	if !p.json || p.grep.re != nil || p.period.limited() {
		var err error
		if e.line, err = client.Raw(l).Line(); err != nil {
			return err
		}
	}
	p.replaced += e.line.Replaced
	if p.first.IsZero() {
		p.first = e.line.Time
	}
	if p.period.limited() && !p.period.has(&e.line) {
		p.grep.skipped = true
		return nil
	}
	return p.grep.add(e, p.print)
}

func (p *printer) print(e *entry) error {
	p.buf = p.buf[:0]
	switch {
	case p.json:
		p.buf = append(e.appendJSON(p.buf), '\n')
		if p.terminal && !p.raw {
			p.buf = append(screen.Plain(nil, p.buf), '\n')
		}
	case p.raw:
		p.appendRaw(e)
	default:
		if e.separate {
			p.row.Forget()
			if p.grep.before+p.grep.after > 0 && p.printed {
				p.buf = append(p.buf, "--\n"...)
			}
		}
		p.buf = p.appendText(p.buf, e)
		p.buf = append(p.replaceShown(p.buf), '\n')
	}
	p.printed = true
	_, err := p.out.Write(p.buf)
	return err
}

// appendText appends the line as it is seen, without a line break.
func (p *printer) appendText(dst []byte, e *entry) []byte {
	dst = p.appendPrefix(dst, &e.line)
	switch {
	case e.matches && p.terminal && p.colors:
		dst = p.grep.highlight(dst, e.seen())
		_ = p.row.Append(nil, []byte(e.line.Out)) // the next line has the colors that this one leaves
	case !p.colors:
		dst = append(dst, e.seen()...)
	default:
		dst = p.row.Append(dst, []byte(e.line.Out))
	}
	return appendMissing(dst, &e.line)
}

// appendPrefix appends what the flags want before each line. What is unknown is
// nothing.
func (p *printer) appendPrefix(dst []byte, l *logservice.Line) []byte {
	if p.number && l.Seq > 0 {
		dst = fmt.Appendf(dst, "%6d  ", l.Seq)
	}
	if l.Time.IsZero() {
		return dst
	}
	if p.timestamps {
		dst = append(l.Time.Local().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00"), ' ')
	}
	if p.elapsed {
		dst = append(appendElapsed(dst, l.Time.Sub(p.first)), ' ')
	}
	return dst
}

// appendElapsed appends hours, minutes, seconds and milliseconds.
func appendElapsed(dst []byte, d time.Duration) []byte {
	if d < 0 {
		dst, d = append(dst, '-'), -d
	}
	ms := d.Milliseconds()
	return fmt.Appendf(dst, "%d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// appendRaw adds the text of a line, or a piece of one, as it was written.
func (p *printer) appendRaw(e *entry) {
	if p.written.due { // a line break
		p.buf = p.written.piece(p.buf, nil, true)
		p.inRow = false
	}
	if !p.inRow {
		p.buf = p.appendPrefix(p.buf, &e.line)
	}
	p.buf = p.written.row(p.buf, append(e.JSON[:len(e.JSON):len(e.JSON)], '\n'))
	p.inRow = !bytes.HasSuffix(p.buf, []byte("\n"))
}

// preview shows a line that has not ended as far as it is.
func (p *printer) preview() {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, open := p.join.Open()
	if !open || p.live == nil {
		return
	}
	line, err := client.Raw(l).Line()
	if err != nil {
		return // its end will say so
	}
	row := p.row
	p.row = screen.Row{Colors: p.colors}
	p.buf = p.appendText(p.buf[:0], &entry{Line: l, line: line})
	p.row = row
	if !p.terminal && !bytes.HasPrefix(p.buf, []byte(p.shown)) {
		return // what was printed cannot be replaced
	}
	shown := string(p.buf)
	_, _ = p.out.Write(p.replaceShown(p.buf)) // the next line reports the error
	p.shown = shown
}

// replaceShown returns what to write so that text is shown instead of the
// beginning of it, or of the line before, that is shown.
func (p *printer) replaceShown(text []byte) []byte {
	shown := p.shown
	p.shown = ""
	switch {
	case shown == "":
		return text
	case bytes.HasPrefix(text, []byte(shown)):
		return text[len(shown):]
	case p.terminal:
		return append([]byte("\r\x1b[K"), text...)
	}
	return append([]byte("\n"), text...)
}

// seen returns the text of the line as it is seen.
func (e *entry) seen() []byte {
	if !e.hasText {
		e.text, e.hasText = screen.Plain(nil, []byte(e.line.Out)), true
	}
	return e.text
}

// clone returns an entry that stays valid.
func (e *entry) clone() *entry {
	c := *e
	c.JSON = bytes.Clone(e.JSON)
	return &c
}

// appendJSON appends the line with its place, which comes last: so it counts even
// if the line has members of these names.
func (e *entry) appendJSON(dst []byte) []byte {
	line := bytes.TrimSpace(e.JSON)
	if len(line) < 2 || line[len(line)-1] != '}' || e.Seq == 0 && e.Attempt <= 1 {
		return append(dst, line...)
	}
	dst = append(dst, line[:len(line)-1]...)
	separator := ","
	if len(bytes.TrimSpace(line[1:len(line)-1])) == 0 {
		separator = ""
	}
	if e.Attempt > 1 {
		dst = strconv.AppendInt(append(append(dst, separator...), `"attempt":`...), e.Attempt, 10)
		separator = ","
	}
	if e.Seq > 0 {
		dst = strconv.AppendInt(append(append(dst, separator...), `"seq":`...), e.Seq, 10)
	}
	return append(dst, '}')
}
