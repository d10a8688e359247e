// Package utf16 reads files that programs for Windows write.
package utf16

import (
	"bytes"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Is reports whether a file that begins with head is UTF-16: it has a byte order
// mark.
func Is(head []byte) bool {
	return bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff})
}

// Reader reads r, which is UTF-16 with a byte order mark, as UTF-8.
func Reader(r io.Reader) io.Reader {
	return transform.NewReader(r, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder())
}
