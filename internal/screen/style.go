package screen

import (
	"strconv"
	"strings"
)

const reset = "\x1b[0m"

// style is what SGR sequences (ECMA-48, 8.3.117) have switched on: one parameter,
// or none, of each group whose parameters replace each other.
type style struct {
	set    bool // something is on
	groups [groups]string
}

const (
	bold, faint, italic, underline, blink, inverse, strike = 0, 1, 2, 3, 4, 5, 6

	font       = 7
	foreground = 8
	background = 9
	frame      = 10
	overline   = 11
	lineColor  = 12
	raised     = 13
	groups     = 14
)

// change applies the parameters of a sequence. One that is malformed, or conceals
// text (parameter 8), changes nothing.
func (s *style) change(parameters string) {
	next := *s
	fields := strings.Split(parameters, ";")
	for i := 0; i < len(fields); i++ {
		p := fields[i]
		if strings.Trim(p, "0123456789:") != "" {
			return
		}
		head, _, sub := strings.Cut(p, ":")
		code, _ := strconv.Atoi("0" + head) // digits; too many are no code
		if code == 8 {
			return
		}
		if !sub && (code == 38 || code == 48 || code == 58) { // a color follows: 5;n or 2;r;g;b
			n := 0
			if i+1 < len(fields) {
				n = map[string]int{"5": 2, "2": 4}[fields[i+1]]
			}
			if n == 0 || i+n >= len(fields) {
				return
			}
			if p = strings.Join(fields[i:i+n+1], ";"); strings.Trim(p, "0123456789;") != "" {
				return
			}
			i += n
		}
		next.apply(code, p)
	}
	*s = next
	s.set = s.groups != [groups]string{}
}

// apply switches one parameter on, or what it ends off.
func (s *style) apply(code int, parameter string) {
	const off = ""
	switch code {
	case 0:
		s.groups = [groups]string{}
	case 22:
		s.groups[bold], s.groups[faint] = off, off
	case 23:
		s.groups[italic] = off
	case 24:
		s.groups[underline] = off
	case 25:
		s.groups[blink] = off
	case 27:
		s.groups[inverse] = off
	case 29:
		s.groups[strike] = off
	case 10, 39, 49, 54, 55, 59, 75:
		s.groups[groupOf(code)] = off
	default:
		if g := groupOf(code); g >= 0 {
			s.groups[g] = parameter
		}
	}
}

// groupOf returns -1 for codes that have no effect.
func groupOf(code int) int {
	switch {
	case code >= 30 && code <= 39, code >= 90 && code <= 97:
		return foreground
	case code >= 40 && code <= 49, code >= 100 && code <= 107:
		return background
	case code >= 10 && code <= 19:
		return font
	}
	switch code {
	case 1:
		return bold
	case 2:
		return faint
	case 3, 20:
		return italic
	case 4, 21:
		return underline
	case 5, 6:
		return blink
	case 7:
		return inverse
	case 9:
		return strike
	case 51, 52, 54:
		return frame
	case 53, 55:
		return overline
	case 58, 59:
		return lineColor
	case 73, 74, 75:
		return raised
	}
	return -1
}

// appendAfter appends the sequence that leads from another style to s.
func (s *style) appendAfter(dst []byte, from style) []byte {
	for i, p := range from.groups {
		if p != "" && s.groups[i] == "" { // only a reset is known to every terminal
			dst, from = append(dst, reset...), style{}
			break
		}
	}
	separator := "\x1b["
	for i, p := range s.groups {
		if p != from.groups[i] {
			dst = append(append(dst, separator...), p...)
			separator = ";"
		}
	}
	if separator == ";" {
		dst = append(dst, 'm')
	}
	return dst
}
