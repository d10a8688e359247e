package archive

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

const benchLines = 200000

func BenchmarkWrite(b *testing.B) {
	c := NewCodec()
	data := buildLog(benchLines)
	runs := inBatches(1, data, 1500)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var size int
	for b.Loop() {
		var n counter
		w := c.NewWriter(&n)
		for _, r := range runs {
			if err := w.Append(r); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			b.Fatal(err)
		}
		size = int(n)
	}
	report(b, size, len(data))
}

func BenchmarkCursor(b *testing.B) {
	c := NewCodec()
	data := buildLog(benchLines)
	packed := write(b, c, inBatches(1, data, 1500)...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		runs := open(b, c, packed).Cursor(0)
		for {
			if _, err := runs.Next(b.Context()); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	report(b, len(packed), len(data))
}

func BenchmarkContent(b *testing.B) {
	c := NewCodec()
	data := buildLog(benchLines)
	packed := write(b, c, inBatches(1, data, 1500)...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := io.Copy(io.Discard, open(b, c, packed).Content(b.Context(), 0, -1)); err != nil {
			b.Fatal(err)
		}
	}
	report(b, len(packed), len(data))
}

// BenchmarkSmall writes and reads the archive of a small log.
func BenchmarkSmall(b *testing.B) {
	c := NewCodec()
	data := buildLog(100)
	runs := inBatches(1, data, 20)
	b.ReportAllocs()
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		w := c.NewWriter(&out)
		for _, r := range runs {
			w.Append(r)
		}
		w.Close()
	}
}

func report(b *testing.B, size, raw int) {
	b.ReportMetric(float64(benchLines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(100*float64(size)/float64(raw), "%size")
}

type counter int

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}
