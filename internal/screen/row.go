package screen

import "unicode/utf8"

// Row renders the text of lines, one after the other. It is not safe for
// concurrent use.
type Row struct {
	// Colors keeps colors.
	Colors bool

	state state
	seq   []byte // parameters of the current CSI sequence
	cr    bool   // the next text starts the row over
	row   []byte // so far
	style style  // of what comes next
	shown style  // of the end of row
}

type state uint8

const (
	ground       state = iota
	escape             // after ESC
	csi                // in a control sequence
	stringState        // in OSC, DCS, SOS, PM or APC
	stringEscape       // after an ESC in one of those
)

// Append appends what is seen of the text of a line, without the line break at
// its end. If the text has several rows, line breaks are between them.
func (r *Row) Append(dst, text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	// The usual case.
	if !r.style.set && len(r.row) == 0 && r.state == ground && plain(text) == len(text) {
		return append(dst, text...)
	}
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		text = text[n:]
		if c == '\n' {
			dst = append(r.end(dst), '\n')
			continue
		}
		r.step(c)
	}
	return r.end(dst)
}

// Forget drops the colors of the lines so far: what comes next does not follow
// them.
func (r *Row) Forget() { r.style = style{} }

// Plain appends what is seen of the text of one line, without colors and without
// the line break at its end.
func Plain(dst, text []byte) []byte {
	var r Row
	return r.Append(dst, text)
}

// end appends the row and starts the next one.
func (r *Row) end(dst []byte) []byte {
	dst = append(dst, r.row...)
	if r.shown.set {
		dst = append(dst, reset...)
	}
	r.row, r.shown, r.state, r.cr = r.row[:0], style{}, ground, false
	return dst
}

// clear removes what the row shows.
func (r *Row) clear() { r.row, r.shown, r.cr = r.row[:0], style{}, false }

// plain returns the number of bytes at the start of p that need no rendering.
func plain(p []byte) int {
	for i, c := range p {
		if (c < 0x20 && c != '\t') || c >= 0x7f {
			return i
		}
	}
	return len(p)
}

func (r *Row) step(c rune) {
	switch r.state {
	case ground:
		r.text(c)
	case escape:
		r.afterEscape(c)
	case csi:
		r.inCSI(c)
	case stringState:
		r.inString(c)
	case stringEscape:
		r.state = ground
		if c != '\\' {
			r.afterEscape(c)
		}
	}
}

func (r *Row) text(c rune) {
	switch {
	case c == '\r':
		r.cr = true
	case c == 0x1b:
		r.state = escape
	case c == '\t':
		r.put(c)
	case c == 0x9b:
		r.state, r.seq = csi, r.seq[:0]
	case c == 0x90, c == 0x98, c == 0x9d, c == 0x9e, c == 0x9f:
		r.state = stringState
	case c < 0x20, c >= 0x7f && c <= 0x9f, c == 0xfeff, reorders(c):
	case c == 0x2028, c == 0x2029:
		r.put(' ')
	default:
		r.put(c)
	}
}

// put adds a visible character.
func (r *Row) put(c rune) {
	if r.cr {
		r.clear()
	}
	if r.shown != r.style {
		r.row = r.style.appendAfter(r.row, r.shown)
		r.shown = r.style
	}
	r.row = utf8.AppendRune(r.row, c)
}

func (r *Row) afterEscape(c rune) {
	switch {
	case c == '[':
		r.state, r.seq = csi, r.seq[:0]
	case c == ']', c == 'P', c == 'X', c == '^', c == '_':
		r.state = stringState
	case c >= 0x20 && c <= 0x2f: // an intermediate byte of the sequence
		r.state = escape
	case c >= 0x30 && c <= 0x7e:
		r.state = ground
	default:
		r.state = ground
		r.text(c)
	}
}

// maxParameters exceeds the length of any real color sequence.
const maxParameters = 64

func (r *Row) inCSI(c rune) {
	switch {
	case c >= 0x20 && c <= 0x3f:
		if len(r.seq) <= maxParameters {
			r.seq = append(r.seq, byte(c))
		}
	case c >= 0x40 && c <= 0x7e:
		r.state = ground
		r.control(c, string(r.seq))
	default:
		r.state = ground
		r.text(c)
	}
}

// control does what a control sequence says, if it is one of those that show a
// row's next state.
func (r *Row) control(final rune, parameters string) {
	switch {
	case final == 'm':
		if r.Colors && len(parameters) <= maxParameters {
			r.style.change(parameters)
		}
	case final == 'G' && (parameters == "" || parameters == "0" || parameters == "1"): // to the first column
		r.cr = true
	case final == 'K' && parameters == "2", // the whole row is erased
		final == 'K' && (parameters == "" || parameters == "0") && r.cr:
		r.clear()
	}
}

func (r *Row) inString(c rune) {
	switch c {
	case 0x07, 0x9c:
		r.state = ground
	case 0x1b:
		r.state = stringEscape
	case '\r':
		r.state = ground
		r.text(c)
	}
}

// reorders reports whether c changes the direction of the surrounding text
// (Unicode's explicit directional formatting, UAX 9 section 2).
func reorders(c rune) bool {
	return c == 0x061c || c == 0x200e || c == 0x200f || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069
}
