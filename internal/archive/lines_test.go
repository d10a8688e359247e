package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/harness/log-service/internal/logs"

	"github.com/google/go-cmp/cmp"
)

// writePlain returns a plain archive and its index.
func writePlain(t testing.TB, c *Codec, runs ...*logs.Batch) (data, index []byte) {
	t.Helper()
	var b bytes.Buffer
	w := c.NewPlainWriter(&b)
	for _, r := range runs {
		if err := w.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.Index()
}

func TestAPlainArchiveIsOnlyTheLinesAndReadsLikeOthers(t *testing.T) {
	c := NewCodec()
	lines := buildLog(30_000)
	gap := []byte(`{"gap":{"first":30008,"last":30107},"out":"[100 lines lost]\n"}` + "\n")
	runs := append(inBatches(7, lines, 997), &logs.Batch{First: 30_007, Count: 100, Data: gap, Gap: true})
	runs = append(runs, inBatches(30_107, buildLog(10), 10)...)
	data, index := writePlain(t, c, runs...)
	if want := append(append(bytes.Clone(lines), gap...), buildLog(10)...); !bytes.Equal(data, want) {
		t.Fatalf("the file has %d bytes, want the %d of the lines", len(data), len(want))
	}
	if len(index) > len(data)/(256<<10)*16+100 {
		t.Errorf("an index of %d bytes for %d", len(index), len(data))
	}
	src := &file{data: data}
	plain, err := c.OpenPlain(src, int64(len(data)), index)
	if err != nil {
		t.Fatal(err)
	}
	packed := open(t, c, write(t, c, runs...))
	if diff := cmp.Diff(packed.Summary(), plain.Summary()); diff != "" {
		t.Error(diff)
	}
	for _, after := range []int64{0, 7, 1000, 29_999, 30_006, 30_050, 30_106, 30_115, 1 << 40} {
		if diff := cmp.Diff(readLines(t, packed, after), readLines(t, plain, after)); diff != "" {
			t.Errorf("after %d:\n%s", after, diff)
		}
	}
	for _, offset := range []int64{0, 1, 256 << 10, int64(len(data)) - 5, int64(len(data))} {
		for _, length := range []int64{-1, 0, 1, 300 << 10} {
			end := int64(len(data))
			if length >= 0 {
				end = min(offset+length, end)
			}
			if got, err := io.ReadAll(plain.Content(t.Context(), offset, length)); err != nil || !bytes.Equal(got, data[offset:end]) {
				t.Errorf("Content(%d, %d): %d bytes, %v", offset, length, len(got), err)
			}
		}
	}
}

func TestDamageOfAPlainArchiveIsAnError(t *testing.T) {
	c := NewCodec()
	data, index := writePlain(t, c, inBatches(1, buildLog(3000), 100)...)
	var damage *DamageError
	for _, at := range []int{0, len(data) / 2, len(data) - 1} {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		r, err := c.OpenPlain(&file{data: bad}, int64(len(bad)), index)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r.Content(t.Context(), 0, -1)); !errors.As(err, &damage) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	for at := range index {
		bad := bytes.Clone(index)
		bad[at] ^= 1
		if _, err := c.OpenPlain(&file{data: data}, int64(len(data)), bad); !errors.As(err, &damage) {
			t.Errorf("byte %d of the index: %v", at, err)
		}
		if _, err := c.OpenPlain(&file{data: data}, int64(len(data)), index[:at]); !errors.As(err, &damage) {
			t.Errorf("an index of %d bytes: %v", at, err)
		}
	}
	if _, err := c.OpenPlain(&file{data: data}, int64(len(data))-1, index); !errors.As(err, &damage) {
		t.Errorf("a shorter file: %v", err)
	}
	packed := write(t, c, inBatches(1, buildLog(10), 10)...)
	if _, err := c.Open(t.Context(), &file{data: append(packed, index...)}, int64(len(packed)+len(index))); !errors.As(err, &damage) {
		t.Errorf("an index of the other kind: %v", err)
	}
}

// counted is a source that counts its open readers.
type counted struct {
	file
	open int
}

func (c *counted) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	r, err := c.file.Range(ctx, offset, length)
	c.open++
	return &closing{r, c}, err
}

type closing struct {
	io.ReadCloser
	c *counted
}

func (c *closing) Close() error { c.c.open--; return c.ReadCloser.Close() }

func TestSequentialReadsUseOneRangeAndCloseIt(t *testing.T) {
	c := NewCodec()
	data, index := writePlain(t, c, inBatches(1, buildLog(100_000), 1000)...)
	src := &counted{file: file{data: data}}
	r, err := c.OpenPlain(src, int64(len(data)), index)
	if err != nil {
		t.Fatal(err)
	}
	content := r.Content(t.Context(), 0, -1)
	if _, err := io.Copy(io.Discard, content); err != nil {
		t.Fatal(err)
	}
	runs := r.Cursor(0)
	for range 20 {
		if _, err := runs.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if src.open == 0 {
		t.Error("nothing is open: every part was a range of its own")
	}
	if err := errors.Join(content.Close(), runs.Close()); err != nil || src.open != 0 {
		t.Errorf("%d ranges are open, %v", src.open, err)
	}
	if frames := len(data) / frameTarget; src.ranges > 12 || frames < 30 {
		t.Errorf("%d ranges for %d frames", src.ranges, frames)
	}
	// A stream whose context has ended is not reused.
	ctx, cancel := context.WithCancel(t.Context())
	runs = r.Cursor(0)
	for range 10 {
		if _, err := runs.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	before := src.ranges
	cancel()
	for range 4 { // more than are buffered
		if _, err := runs.Next(t.Context()); err != nil {
			t.Fatal("after a context ended:", err)
		}
	}
	if src.ranges == before || runs.Close() != nil || src.open != 0 {
		t.Errorf("after a context ended: %d ranges, %d open", src.ranges-before, src.open)
	}
}
