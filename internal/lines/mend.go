package lines

import "bytes"

// afterMark returns the offset after a byte order mark at the start of a body.
func afterMark(body []byte) int {
	if bytes.HasPrefix(body, byteOrderMark) {
		return len(byteOrderMark)
	}
	return 0
}

// isSurrogate reports whether b starts with an escape of a surrogate, \uD800 to
// \uDFFF.
func isSurrogate(b []byte) bool {
	return len(b) >= 6 && b[0] == '\\' && b[1] == 'u' && b[2]|0x20 == 'd' && b[3] >= '8'
}

// mendSurrogates replaces each escape of a surrogate without its other half by
// \ufffd, in place, in valid JSON. Such an escape stands for no character, and
// readers in other languages refuse the line for it.
func mendSurrogates(text []byte) {
	for {
		i := bytes.IndexByte(text, '\\') // only strings contain one
		if i < 0 {
			return
		}
		text = text[i:]
		switch {
		case !isSurrogate(text):
			text = text[2:]
		case isLow(text) || len(text) < 12 || !isSurrogate(text[6:]) || !isLow(text[6:]):
			copy(text[2:6], "fffd")
			text = text[6:]
		default:
			text = text[12:]
		}
	}
}

// isLow reports whether the surrogate that b starts with is the second one of a
// pair.
func isLow(b []byte) bool { return escaped(b)&^0x3ff == 0xdc00 }
