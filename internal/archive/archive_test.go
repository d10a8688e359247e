package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
)

// file is an in-memory Source that counts the ranges read.
type file struct {
	data   []byte
	ranges int
}

func (f *file) Range(_ context.Context, offset, length int64) (io.ReadCloser, error) {
	f.ranges++
	rest := f.data[min(offset, int64(len(f.data))):]
	if length >= 0 {
		rest = rest[:min(length, int64(len(rest)))]
	}
	return io.NopCloser(bytes.NewReader(rest)), nil
}

// buildLog returns n lines like those of a verbose build.
func buildLog(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	packages := []string{"internal/archive", "internal/stream", "internal/api/http/harness", "client", "internal/store/bolt", "vendor/golang.org/x/sys/unix", "cmd/log-service"}
	var b bytes.Buffer
	for i := range n {
		p := packages[r.IntN(len(packages))]
		var out string
		switch r.IntN(4) {
		case 0:
			out = fmt.Sprintf("mkdir -p $WORK/b%03d/", i/7%1000)
		case 1:
			out = fmt.Sprintf("packagefile %s=/root/.cache/go-build/%02x/%08x%08x%08x%08x-d", p, r.IntN(256), r.Uint32(), r.Uint32(), r.Uint32(), r.Uint32())
		case 2:
			out = fmt.Sprintf("compile -o $WORK/b%03d/_pkg_.a -trimpath \"$WORK/b%03d=>\" -p example.com/%s -complete -buildid %08x", i/7%1000, i/7%1000, p, r.Uint32())
		default:
			out = fmt.Sprintf("ok  \texample.com/%s\t%d.%03ds", p, r.IntN(10), r.IntN(1000))
		}
		fmt.Fprintf(&b, `{"level":"info","pos":%d,"out":%q,"time":"2026-01-02T15:%02d:%02d.%06dZ","args":null}`+"\n", i, out+"\n", i/60000%60, i/1000%60, r.IntN(1000000))
	}
	return b.Bytes()
}

// write archives batches and gaps.
func write(t testing.TB, c *Codec, runs ...*logs.Batch) []byte {
	t.Helper()
	var b bytes.Buffer
	w := c.NewWriter(&b)
	for _, r := range runs {
		if err := w.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Open(t.Context(), &file{data: b.Bytes()}, int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, r.Summary()); d != "" {
		t.Fatal("the summaries of writer and reader differ:\n", d)
	}
	return b.Bytes()
}

// inBatches divides data into batches of n lines.
func inBatches(first int64, data []byte, n int) []*logs.Batch {
	var runs []*logs.Batch
	for len(data) > 0 {
		end, count := 0, 0
		for end < len(data) && count < n {
			end += bytes.IndexByte(data[end:], '\n') + 1
			count++
		}
		runs = append(runs, &logs.Batch{First: first, Count: int64(count), Data: data[:end]})
		first += int64(count)
		data = data[end:]
	}
	return runs
}

func open(t testing.TB, c *Codec, data []byte) *Reader {
	t.Helper()
	r, err := c.Open(t.Context(), &file{data: data}, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seqLine is a line with its sequence, as a reader gets it. That of a gap has
// the sequence of its end and no text, since each part of a gap has a new one.
type seqLine struct {
	Seq  int64
	Text string
	Gap  bool
}

func readLines(t testing.TB, r *Reader, after int64) []seqLine {
	t.Helper()
	var got []seqLine
	runs := r.Cursor(after)
	for {
		run, err := runs.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if run.Gap {
			got = append(got, seqLine{run.Last(), "", true})
			continue
		}
		seq := run.First
		for line := range bytes.Lines(run.Data) {
			got = append(got, seqLine{seq, string(line), false})
			seq++
		}
		if seq != run.First+run.Count {
			t.Fatalf("a run of %d lines says %d", seq-run.First, run.Count)
		}
	}
}

func TestWhatIsWrittenIsReadFromEveryLine(t *testing.T) {
	c := NewCodec()
	data := buildLog(5000)
	gap := &logs.Batch{First: 5001, Count: 40, Data: []byte(`{"gap":{"first":5001,"last":5040}}` + "\n"), Gap: true}
	more := buildLog(100)
	runs := append(inBatches(1, data, 77), gap)
	runs = append(runs, inBatches(5041, more, 9)...)
	r := open(t, c, write(t, c, runs...))

	all := readLines(t, r, 0)
	want := logs.Summary{First: 1, Next: 5141, Lines: 5101, RawSize: int64(len(data) + len(gap.Data) + len(more))}
	want.Checksum = crc32.Checksum(slices.Concat(data, gap.Data, more), castagnoli)
	if d := cmp.Diff(want, r.Summary()); d != "" {
		t.Error(d)
	}
	for after := int64(0); after < 5145; after += 103 {
		i := 0
		for i < len(all) && all[i].Seq <= after {
			i++
		}
		if d := cmp.Diff(all[i:], readLines(t, r, after), cmp.Transformer("none", func(l []seqLine) int { return len(l) })); d != "" {
			t.Fatalf("after %d: %s", after, d)
		}
		if got := readLines(t, r, after); len(got) > 0 && got[0] != all[i] {
			t.Fatalf("after %d: got %v, want %v", after, got[0], all[i])
		}
	}
	// Inside the gap, a reader gets the rest of it.
	run, err := r.Cursor(5010).Next(t.Context())
	if err != nil || !run.Gap || run.First != 5011 || run.Count != 30 {
		t.Errorf("after 5010: %+v, %v", run, err)
	}
}

func TestContentIsReadFromEveryOffset(t *testing.T) {
	c := NewCodec()
	data := buildLog(6000)
	r := open(t, c, write(t, c, inBatches(1, data, 500)...))
	for _, offset := range []int{0, 1, 1000, frameTarget - 1, frameTarget, frameTarget + 1, len(data) - 1, len(data), len(data) + 5} {
		for _, length := range []int{-1, 0, 1, 300, 300 << 10, len(data)} {
			got, err := io.ReadAll(r.Content(t.Context(), int64(offset), int64(length)))
			want := data[min(offset, len(data)):]
			if length >= 0 {
				want = want[:min(length, len(want))]
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes from %d: got %d bytes, %v", length, offset, len(got), err)
			}
		}
	}
	var b bytes.Buffer
	if n, err := io.Copy(&b, r.Content(t.Context(), 0, -1)); err != nil || n != int64(len(data)) || !bytes.Equal(b.Bytes(), data) {
		t.Error("copy:", n, err)
	}
}

func TestLongLinesAreFramesOfTheirOwn(t *testing.T) {
	c := NewCodec()
	var data []byte
	for _, n := range []int{10, frameTarget - 2, frameTarget, 1 << 20, 5 << 20, 3, frameTarget / 2, frameTarget/2 + 1} {
		data = append(data, `{"out":"`+strings.Repeat("x", n)+"\"}\n"...)
	}
	for _, per := range []int{1, 3, 8} {
		r := open(t, c, write(t, c, inBatches(1, data, per)...))
		got, err := io.ReadAll(r.Content(t.Context(), 0, -1))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("in runs of %d: %d bytes of %d, %v", per, len(got), len(data), err)
		}
		if n := len(readLines(t, r, 0)); n != 8 {
			t.Errorf("in runs of %d: %d lines", per, n)
		}
	}
}

func TestRandomLinesThatDoNotCompress(t *testing.T) {
	c := NewCodec()
	r := rand.New(rand.NewPCG(3, 4))
	var data []byte
	for range 2000 {
		data = append(data, `{"out":"`...)
		for range r.IntN(400) {
			data = append(data, byte(0x80+r.IntN(0x80)))
		}
		data = append(data, "\"}\n"...)
	}
	got, err := io.ReadAll(open(t, c, write(t, c, inBatches(1, data, 100)...)).Content(t.Context(), 0, -1))
	if err != nil || !bytes.Equal(got, data) {
		t.Error(len(got), err)
	}
}

func TestSmallArchivesAreSmallAndTakeOneRead(t *testing.T) {
	c := NewCodec()
	data := buildLog(100)
	packed := write(t, c, inBatches(1, data, 20)...)
	t.Logf("100 lines: %d bytes in %d", len(data), len(packed))
	if len(packed) > 4096 {
		t.Errorf("an archive of 100 lines takes %d bytes", len(packed))
	}
	if empty := write(t, c); len(empty) > 80 {
		t.Errorf("an empty archive takes %d bytes", len(empty))
	}
	f := &file{data: packed}
	r, err := c.Open(t.Context(), f, int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readLines(t, r, 0)); n != 100 || f.ranges != 1 {
		t.Errorf("%d lines in %d reads", n, f.ranges)
	}
}

func TestOneLineOfALongArchiveTakesTwoReads(t *testing.T) {
	c := NewCodec()
	packed := write(t, c, inBatches(1, buildLog(100000), 1000)...)
	f := &file{data: packed}
	r, err := c.Open(t.Context(), f, int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	run, err := r.Cursor(56789).Next(t.Context())
	if err != nil || run.First != 56790 || f.ranges != 2 {
		t.Errorf("first line %d, %d reads, %v", run.First, f.ranges, err)
	}
}

func TestALongIndexTakesASecondRead(t *testing.T) {
	c := NewCodec()
	var runs []*logs.Batch
	for i := range int64(3000) { // each gap is a frame
		runs = append(runs, &logs.Batch{First: 1 + 10*i, Count: 10, Gap: true, Data: []byte("{}\n")})
	}
	if n := len(readLines(t, open(t, c, write(t, c, runs...)), 15000)); n != 1500 {
		t.Error(n)
	}
}

func TestBatchesThatWouldMakeTheIndexLieAreRefused(t *testing.T) {
	c := NewCodec()
	line := []byte("{}\n")
	for name, runs := range map[string][]*logs.Batch{
		"a hole":             {{First: 1, Count: 1, Data: line}, {First: 3, Count: 1, Data: line}},
		"an overlap":         {{First: 1, Count: 1, Data: line}, {First: 1, Count: 1, Data: line}},
		"no line break":      {{First: 1, Count: 1, Data: []byte("{}")}},
		"a wrong count":      {{First: 1, Count: 2, Data: line}},
		"no lines":           {{First: 1}},
		"sequence zero":      {{First: 0, Count: 1, Data: line}},
		"a gap of two lines": {{First: 1, Count: 5, Data: []byte("{}\n{}\n"), Gap: true}},
	} {
		w := c.NewWriter(io.Discard)
		var err error
		for _, r := range runs {
			err = w.Append(r)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, closed := w.Close(); closed == nil {
			t.Errorf("%s: Close made an archive of it", name)
		}
	}
}

func TestAFailingWriterFailsTheArchive(t *testing.T) {
	c := NewCodec()
	broken := errors.New("broken")
	w := c.NewWriter(writerFunc(func([]byte) (int, error) { return 0, broken }))
	if err := w.Append(&logs.Batch{First: 1, Count: 1, Data: []byte("{}\n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTheZstdProgramReadsArchives(t *testing.T) {
	zstd := proctest.Program(t, "zstd", "zstd")
	c := NewCodec()
	for _, n := range []int{0, 1, 100, 20000} {
		data := buildLog(n)
		runs := inBatches(1, data, 100)
		gap := []byte(`{"gap":{"first":1,"last":9}}` + "\n")
		if n == 100 {
			runs = append(runs, &logs.Batch{First: 101, Count: 9, Data: gap, Gap: true})
			data = append(data, gap...)
		}
		for _, args := range [][]string{{"-d", "-c"}, {"-t"}} {
			cmd := exec.CommandContext(t.Context(), zstd, args...)
			cmd.Stdin = bytes.NewReader(write(t, c, runs...))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || (args[0] == "-d" && !bytes.Equal(out, data)) {
				t.Errorf("zstd %v of %d lines: %d bytes of %d, %v %s", args, n, len(out), len(data), err, &stderr)
			}
		}
	}
}
