package streamtest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/harness/log-service/internal/logs"
)

// firstTime is the time of every generator's first line. No line is on a whole
// second: such a time would not identify it, see package lines.
var firstTime = time.Date(2026, 1, 2, 15, 4, 5, 123_456, time.UTC)

// Writer generates the lines of one writer: no two lines of a Writer are equal,
// nor those of two writers with different names.
type Writer struct {
	Name string
	// Pad is how many bytes of filler each line has.
	Pad int
	pos int64
}

// Lines returns the next n lines as a runner sends them, with pos and time, so
// that a retry of them is recognized.
func (w *Writer) Lines(n int) []string {
	out := make([]string, n)
	for i := range out {
		at := firstTime.Add(time.Duration(w.pos) * time.Millisecond)
		out[i] = fmt.Sprintf(`{"level":"info","pos":%d,"out":"%s says %d%s\n","time":"%s","args":null}`,
			w.pos, w.Name, w.pos, strings.Repeat(".", w.Pad), at.Format(time.RFC3339Nano))
		w.pos++
	}
	return out
}

// batch returns an append of lines with pos and time.
func batch(lines []string) logs.Lines {
	return logs.Lines{Data: join(lines), Count: int64(len(lines)), Dedupe: true}
}

// at is batch with an offset, which alone identifies a retry. Zero is no
// offset.
func at(offset int64, lines []string) logs.Lines {
	l := batch(lines)
	l.Offset, l.Dedupe = offset, offset == 0
	return l
}

// plain returns an append of lines whose retry cannot be recognized.
func plain(lines ...string) logs.Lines {
	return logs.Lines{Data: join(lines), Count: int64(len(lines))}
}

// join returns new bytes at each call: they are overwritten after an append.
func join(lines []string) []byte {
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// split is the reverse of join.
func split(data []byte) []string {
	var out []string
	for line := range bytes.Lines(data) {
		out = append(out, string(bytes.TrimSuffix(line, []byte("\n"))))
	}
	return out
}

func concat(parts ...[]string) []string {
	var out []string
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
