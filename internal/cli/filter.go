package cli

import (
	"io"
	"strings"
	"unicode/utf8"
)

// filter sanitises text for a terminal. It removes everything that a log could use
// to deceive its reader: moving the cursor, erasing, renaming the window, writing
// to the clipboard, reversing text. Of all control sequences (ECMA-48), only
// colours pass.
//
//   - ESC [ ... m passes, unless it conceals text or colours are off.
//   - Every other sequence is removed whole: CSI, OSC, DCS, SOS, PM, APC, also if
//     it starts with an 8-bit C1 control. A line break ends an unterminated one.
//   - A carriage return before a line break is removed; any other becomes a line
//     break, because the text after it could hide the text before it.
//   - Tab passes; every other C0 and C1 control and DEL is removed.
//   - Marks that change the direction of text are removed; U+2028 and U+2029
//     become spaces.
//   - Invalid UTF-8 becomes U+FFFD.
//
// A filter is not safe for concurrent use. Close resets a colour that is still on.
type filter struct {
	w       io.Writer
	colours bool

	state   filterState
	seq     []byte // parameters of the current CSI sequence
	partial []byte // first bytes of a rune that the next Write completes
	cr      bool   // a carriage return whose effect depends on what follows
	tinted  bool   // a colour is on
	out     []byte
}

type filterState uint8

const (
	ground       filterState = iota
	escape                   // after ESC
	csi                      // in a control sequence
	stringState              // in OSC, DCS, SOS, PM or APC
	stringEscape             // after an ESC in one of those
)

// maxSGR exceeds the length of any real colour sequence.
const maxSGR = 64

func newFilter(w io.Writer, colours bool) *filter {
	return &filter{w: w, colours: colours}
}

func (f *filter) Write(p []byte) (int, error) {
	n := len(p)
	f.out = f.out[:0]
	if len(f.partial) > 0 {
		p = append(f.partial, p...)
		f.partial = nil
	}
	for len(p) > 0 {
		if f.state == ground && !f.cr {
			if i := plain(p); i > 0 {
				f.out = append(f.out, p[:i]...)
				p = p[i:]
				continue
			}
		}
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && !utf8.FullRune(p) {
			f.partial = append([]byte(nil), p...)
			break
		}
		f.step(r)
		p = p[size:]
	}
	if _, err := f.w.Write(f.out); err != nil {
		return 0, err
	}
	return n, nil
}

// Close completes pending output. It does not close the underlying writer.
func (f *filter) Close() error {
	f.out = f.out[:0]
	if len(f.partial) > 0 {
		f.out = utf8.AppendRune(f.out, utf8.RuneError)
		f.partial = nil
	}
	if f.tinted {
		f.out = append(f.out, "\x1b[0m"...)
		f.tinted = false
	}
	_, err := f.w.Write(f.out)
	return err
}

// plain returns the number of bytes at the start of p that need no filtering.
func plain(p []byte) int {
	for i, c := range p {
		if (c < 0x20 && c != '\n' && c != '\t') || c >= 0x7f {
			return i
		}
	}
	return len(p)
}

func (f *filter) step(r rune) {
	switch f.state {
	case ground:
		f.text(r)
	case escape:
		f.afterEscape(r)
	case csi:
		f.inCSI(r)
	case stringState:
		f.inString(r)
	case stringEscape:
		f.state = ground
		if r != '\\' {
			f.afterEscape(r)
		}
	}
}

func (f *filter) text(r rune) {
	if f.cr && r != '\r' {
		f.cr = false
		if r != '\n' {
			f.out = append(f.out, '\n')
		}
	}
	switch {
	case r == '\r':
		f.cr = true
	case r == 0x1b:
		f.state = escape
	case r == '\n' || r == '\t':
		f.out = append(f.out, byte(r))
	case r == 0x9b:
		f.state, f.seq = csi, f.seq[:0]
	case r == 0x90, r == 0x98, r == 0x9d, r == 0x9e, r == 0x9f:
		f.state = stringState
	case r < 0x20, r >= 0x7f && r <= 0x9f, reorders(r):
	case r == 0x2028, r == 0x2029:
		f.out = append(f.out, ' ')
	default:
		f.out = utf8.AppendRune(f.out, r)
	}
}

func (f *filter) afterEscape(r rune) {
	switch {
	case r == '[':
		f.state, f.seq = csi, f.seq[:0]
	case r == ']', r == 'P', r == 'X', r == '^', r == '_':
		f.state = stringState
	case r >= 0x20 && r <= 0x2f: // an intermediate byte of the sequence
		f.state = escape
	case r >= 0x30 && r <= 0x7e:
		f.state = ground
	default:
		f.state = ground
		f.text(r)
	}
}

func (f *filter) inCSI(r rune) {
	switch {
	case r >= 0x20 && r <= 0x3f:
		if len(f.seq) <= maxSGR {
			f.seq = append(f.seq, byte(r))
		}
	case r >= 0x40 && r <= 0x7e:
		f.state = ground
		if r == 'm' && f.colours && colour(string(f.seq)) {
			f.out = append(append(append(f.out, "\x1b["...), f.seq...), 'm')
			f.tinted = len(f.seq) > 0 && string(f.seq) != "0"
		}
	default:
		f.state = ground
		f.text(r)
	}
}

func (f *filter) inString(r rune) {
	switch r {
	case 0x07, 0x9c:
		f.state = ground
	case 0x1b:
		f.state = stringEscape
	case '\n', '\r':
		f.state = ground
		f.text(r)
	}
}

// colour reports whether the parameters of an SGR sequence are well-formed
// and conceal nothing (parameter 8).
func colour(params string) bool {
	if len(params) > maxSGR {
		return false
	}
	fields := strings.Split(params, ";")
	for i := 0; i < len(fields); i++ {
		p := fields[i]
		if strings.Trim(p, "0123456789:") != "" {
			return false
		}
		head, _, sub := strings.Cut(p, ":")
		switch strings.TrimLeft(head, "0") {
		case "8":
			return false
		case "38", "48", "58": // a colour follows: 5;n or 2;r;g;b
			if sub || i+1 >= len(fields) {
				continue
			}
			switch fields[i+1] {
			case "5":
				i += 2
			case "2":
				i += 4
			}
		}
	}
	return true
}

// reorders reports whether r changes the direction of the surrounding text
// (Unicode's explicit directional formatting, UAX 9 section 2).
func reorders(r rune) bool {
	return r == 0x061c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
