package cli

import (
	"io"
	"strings"
	"testing"
)

func TestProgressIsShownOnOneLineThatIsRemoved(t *testing.T) {
	for size, want := range map[int64]string{
		2 << 20: "\ruploading 1.0 of 2.0 MiB",
		-1:      "\ruploading 1.0 MiB",
	} {
		var out strings.Builder
		r := &watchedReader{r: strings.NewReader(strings.Repeat("x", 2<<20)), size: size, out: &out}
		if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != 1<<20 {
			t.Fatal(n, err)
		}
		if got := out.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("size %d: shown %q, want %q", size, got, want)
		}
	}
}
