package cli

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
)

// written puts together what programs wrote, byte for byte. Lines of clients that
// omit the line break get one between them; the last one does not.
type written struct {
	due bool // a line break, if anything follows
}

// row appends the text of one row of a blob: of a line, its text, of everything
// else the row itself.
func (t *written) row(dst, row []byte) []byte {
	object, out := lines.RowObject(row)
	switch {
	case object == nil, out == nil && !bytes.Contains(object, []byte(`"gap"`)):
		return t.piece(dst, row, true)
	case bytes.Contains(object, []byte(`"partial"`)), bytes.Contains(object, []byte(`"truncated"`)), out == nil, out[0] != '"':
		var l logservice.Line
		if json.Unmarshal(object, &l) != nil {
			return t.piece(dst, row, true)
		}
		return t.line(dst, &l)
	}
	if t.due {
		dst = append(dst, '\n')
	}
	start := len(dst)
	dst, _ = jsontext.AppendUnquote(dst, out) // the error is invalid UTF-8, which becomes U+FFFD
	t.due = !bytes.HasSuffix(dst[start:], []byte("\n"))
	return dst
}

// line appends the text of a line, or of a piece of one. Of a cut line it says how
// much is missing.
func (t *written) line(dst []byte, l *logservice.Line) []byte {
	text := []byte(l.Out)
	if l.Gap != nil && l.Out == "" {
		text = fmt.Appendf(nil, "[%s]\n", l.Gap)
	}
	if missing := appendMissing(nil, l); missing != nil {
		text, _ = bytes.CutSuffix(text, []byte("\n"))
		text = append(append(text, missing...), '\n')
	}
	return t.piece(dst, text, l.Partial)
}

// piece appends text. What follows continues it if it is open.
func (t *written) piece(dst, text []byte, open bool) []byte {
	if t.due {
		dst = append(dst, '\n')
	}
	t.due = !open && !bytes.HasSuffix(text, []byte("\n"))
	return append(dst, text...)
}

// appendMissing says how much of a cut line is missing.
func appendMissing(dst []byte, l *logservice.Line) []byte {
	if missing := l.Truncated - int64(len(l.Out)); missing > 0 {
		dst = fmt.Appendf(dst, " [cut: %d of %d bytes are missing]", missing, l.Truncated)
	}
	return dst
}
