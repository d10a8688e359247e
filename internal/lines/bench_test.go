package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// hundred is a batch as runners send it: 100 lines of about 170 bytes.
func hundred() []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range 100 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"level":"info","pos":%d,"out":"compile -o /tmp/work/b%03d/_pkg_.a -trimpath -p github.com/harness/log-service/internal -complete %d\n","time":"2026-01-02T15:04:05.123456Z","args":null}`, i, i, i)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// BenchmarkScan100 compares, in one run, this scanner with json.Valid and with
// a pooled jsontext decoder that slices its buffer.
func BenchmarkScan100(b *testing.B) {
	body := hundred()
	work := make([]byte, len(body))
	b.Run("lines.Array", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			copy(work, body)
			if got, err := Array(work, 1<<20); err != nil || got.Count != 100 {
				b.Fatal(err)
			}
		}
	})
	// The marks of every line are looked at, as none identifies the batch.
	b.Run("lines.Array, whole seconds", func(b *testing.B) {
		body := bytes.ReplaceAll(body, []byte("05.123456Z"), []byte("05Z"))
		work := work[:len(body)]
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			copy(work, body)
			if got, err := Array(work, 1<<20); err != nil || got.Count != 100 || got.Dedupe {
				b.Fatal(err)
			}
		}
	})
	b.Run("jsontext", func(b *testing.B) {
		pool := sync.Pool{New: func() any { return new(jsontext.Decoder) }}
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			copy(work, body)
			d := pool.Get().(*jsontext.Decoder)
			if n, err := decode(d, work); err != nil || n != 100 {
				b.Fatal(n, err)
			}
			pool.Put(d)
		}
	})
	b.Run("json.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			copy(work, body)
			if !json.Valid(work) {
				b.Fatal("invalid")
			}
		}
	})
}

func decode(d *jsontext.Decoder, body []byte) (n int, err error) {
	d.Reset(bytes.NewBuffer(body), lenient...)
	if _, err := d.ReadToken(); err != nil {
		return 0, err
	}
	for last := 0; d.PeekKind() == '{'; {
		// The comma before this line: the decoder has passed it.
		if n > 0 {
			body[last] = '\n'
		}
		if err := d.SkipValue(); err != nil {
			return n, err
		}
		last = int(d.InputOffset())
		n++
	}
	if _, err := d.ReadToken(); err != nil {
		return n, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return n, err
	}
	return n, nil
}
