package service_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// texts remembers what lines say. Damaged logs are read again and again, and under
// the race detector decoding JSON would take most of that time.
type texts map[string]string

func (known texts) of(t testing.TB, line []byte) string {
	t.Helper()
	text, ok := known[string(line)]
	if !ok {
		var l logservice.Line
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		text = l.Out
		known[string(line)] = text
	}
	return text
}

// seen is what a reader gets of a log.
type seen struct {
	texts []string         // of the lines, marks not included
	marks []logservice.Gap // of damage
	last  int64
	atEnd bool // the last line is a mark
}

// see follows the log of id to its end, which must come.
func (r *rig) see(id logservice.ID, after int64) (s seen) {
	r.t.Helper()
	c, state, err := r.Follow(r.t.Context(), id, past(after))
	r.must(err)
	defer c.Close()
	if state != logservice.StateArchived {
		r.t.Errorf("state %q", state)
	}
	s.last = after
	for {
		batches, err := c.Next(r.t.Context())
		if errors.Is(err, io.EOF) {
			return s
		}
		r.must(err)
		for _, b := range batches {
			if b.First != s.last+1 {
				r.t.Fatalf("a batch begins with %d after %d", b.First, s.last)
			}
			s.last = b.Last()
			s.add(r.t, b, r.texts)
		}
	}
}

func (s *seen) add(t testing.TB, b *logs.Batch, known texts) {
	t.Helper()
	for line := range bytes.Lines(b.Data) {
		if s.atEnd = false; b.Gap {
			var l logservice.Line
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			s.atEnd = l.Gap != nil && l.Gap.Damage != ""
			if s.atEnd {
				s.marks = append(s.marks, *l.Gap)
				continue
			}
		}
		s.texts = append(s.texts, known.of(t, line))
	}
}

// readable is the stored log as downloads have it.
func (r *rig) readable(id logservice.ID) (data []byte, damage error) {
	r.t.Helper()
	c, err := r.Blob(r.t.Context(), id, 0)
	r.must(err)
	defer c.Close()
	rd, err := c.Readable(r.t.Context(), 0, -1)
	r.must(err)
	defer rd.Close()
	data, err = io.ReadAll(rd)
	r.must(err)
	if rd.Size >= 0 && rd.Size != int64(len(data)) {
		r.t.Errorf("size %d, read %d bytes", rd.Size, len(data))
	}
	return data, rd.Damage()
}

func (r *rig) keep(key string, data []byte) logservice.ID {
	r.t.Helper()
	id := logservice.ID{Account: "acme", Key: logservice.Key(key)}
	r.must(r.PutBlob(r.t.Context(), id, bytes.NewReader(data), false))
	return id
}

// packing is a small log as clients pack it.
type packing struct {
	name   string
	data   []byte
	header int // bytes without which it is none
	part   int // bytes of its first member or frame, where it has two
}

func packings() (plain []byte, all []packing) {
	first, second := []byte("hello\nworld\n"), []byte("<3 & more\nthe end\n")
	plain = append(bytes.Clone(first), second...)
	named := func(w *gzip.Writer) { w.Name, w.Comment, w.Extra = "build.log", "of a build", []byte{1, 2, 3, 4} }
	gz := func(level int, change func(*gzip.Writer)) []byte {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, level)
		change(w)
		_, _ = w.Write(plain)
		_ = w.Close()
		return b.Bytes()
	}
	unchecked, _ := zstd.NewWriter(nil, zstd.WithEncoderCRC(false))
	return plain, []packing{
		{"gzip", packGzip(plain), 10, 0},
		{"gzip with a name", gz(gzip.BestSpeed, named), 10 + 6 + 10 + 11, 0},
		{"gzip, stored", gz(gzip.NoCompression, func(*gzip.Writer) {}), 10, 0},
		{"gzip, two members", append(packGzip(first), packGzip(second)...), 10, len(packGzip(first))},
		{"zstd", packZstd(plain), 9, 0},
		{"zstd without checksum", unchecked.EncodeAll(plain, nil), 9, 0},
		{"zstd, two frames", append(packZstd(first), packZstd(second)...), 9, len(packZstd(first))},
	}
}

// gunzipped is what another implementation reads.
func gunzipped(data []byte) int {
	z, err := stdgzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return 0
	}
	got, _ := io.ReadAll(z) // up to its damage
	return len(got)
}

func TestACutBlobIsReadUpToTheCut(t *testing.T) {
	r := newRig(t)
	plain, all := packings()
	for _, p := range all {
		for n := 1; n < len(p.data); n++ {
			what := fmt.Sprintf("%s cut after %d of %d bytes", p.name, n, len(p.data))
			id := r.keep("cut", p.data[:n])
			s := r.see(id, 0)
			text := strings.Join(s.texts, "")
			data, damage := r.readable(id)
			switch {
			case n < p.header: // it is not known to be packed
				if len(s.marks) > 0 || damage != nil || !bytes.Equal(data, p.data[:n]) {
					t.Errorf("%s: %+v, %q, %v, want the bytes as they are", what, s, data, damage)
				}
			case n == p.part:
				if len(s.marks) > 0 || damage != nil || text != "hello\nworld\n" {
					t.Errorf("%s: %+v, %v, want the first part as a whole", what, s, damage)
				}
			default:
				s.wantMark(t, what)
				got := strings.TrimSuffix(string(data[:bytes.Index(data, []byte(`{"gap":`))]), "\n")
				if !strings.HasPrefix(string(plain), text) || got != strings.TrimSuffix(text, "\n") || damage == nil {
					t.Errorf("%s: followed %q, downloaded %q, %v", what, text, got, damage)
				}
				if strings.HasPrefix(p.name, "gzip") && len(text) != gunzipped(p.data[:n]) {
					t.Errorf("%s: %d bytes, want %d", what, len(text), gunzipped(p.data[:n]))
				}
				if n == len(p.data)-1 && text != string(plain) && p.name != "zstd without checksum" {
					t.Errorf("%s: %q, although only a checksum is cut", what, text)
				}
			}
		}
	}
}

// wantMark checks that a reader got a single mark, at the end.
func (s *seen) wantMark(t *testing.T, what string) {
	t.Helper()
	if len(s.marks) != 1 || !s.atEnd || !s.marks[0].Rest || s.marks[0].First != s.last || s.marks[0].Last != s.last || s.last != int64(len(s.texts))+1 {
		t.Errorf("%s: %+v, want one mark at the end", what, s)
	}
}

func TestAFlippedBitOfABlobIsSeenOrMarked(t *testing.T) {
	r := newRig(t)
	plain, all := packings()
	for _, p := range all {
		for bit := range len(p.data) * 8 {
			if p.name != "gzip" && p.name != "zstd" && bit%8 != bit/8%8 {
				continue // one bit of each byte
			}
			what := fmt.Sprintf("%s, bit %d of byte %d of %d flipped", p.name, bit%8, bit/8, len(p.data))
			bad := bytes.Clone(p.data)
			bad[bit/8] ^= 1 << (bit % 8)
			id := r.keep("flipped", bad)
			s := r.see(id, 0)
			data, damage := r.readable(id)
			text := strings.Join(s.texts, "")
			switch {
			case bytes.Equal(data, bad): // as it is
				if bit/8 >= p.header || len(s.marks) > 0 || damage != nil {
					t.Errorf("%s: %+v, not unpacked", what, s)
				}
			case len(s.marks) > 0:
				s.wantMark(t, what)
				if damage == nil || p.name != "zstd without checksum" && !strings.HasPrefix(string(plain), text) && !strings.Contains(s.marks[0].Damage, "may be wrong") &&
					!strings.Contains(s.marks[0].Damage, "corrupt") && !strings.Contains(s.marks[0].Damage, "early") {
					t.Errorf("%s: %+v, %v", what, s, damage)
				}
			case text != string(plain) && p.name != "zstd without checksum", damage != nil:
				t.Errorf("%s: %q without a mark, %v", what, text, damage)
			}
		}
	}
}

func TestAReaderComesBackAfterTheDamage(t *testing.T) {
	r := newRig(t)
	for name, data := range map[string][]byte{
		"cut":                   packGzip([]byte("one\ntwo\nthree\n"))[:26],
		"garbage after the end": append(packGzip([]byte("one\ntwo\nthree\n")), "garbage"...),
		"zstd and garbage":      append(packZstd([]byte("one\ntwo\nthree\n")), "garbage"...),
	} {
		id := r.keep("log", data)
		all := r.see(id, 0)
		all.wantMark(t, name)
		for after := range all.last {
			if s := r.see(id, after); len(s.marks) != 1 || int64(len(s.texts)) != all.last-after-1 || s.marks[0] != all.marks[0] {
				t.Errorf("%s, after %d: %+v, want the rest of %+v", name, after, s, all)
			}
		}
		if s := r.see(id, all.last); len(s.marks)+len(s.texts) > 0 {
			t.Errorf("%s, after the mark: %+v, want the end", name, s)
		}
		// Who has more lines than can be read has read them before they were damaged.
		if s := r.see(id, all.last+5); len(s.texts) > 0 || len(s.marks) != 1 {
			t.Errorf("%s, after lines that are lost: %+v, want a mark", name, s)
		}
		// A reader that takes it in pieces gets the same bytes.
		c, _, err := r.Follow(t.Context(), id, past(0))
		r.must(err)
		var marks [2]string
		for i := range marks {
			for {
				batches, err := c.Next(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				r.must(err)
				marks[i] = string(batches[0].Data)
			}
			c.Rewind(all.last - 1)
		}
		if c.Close(); marks[0] == "" || marks[0] != marks[1] {
			t.Errorf("%s: %q, then %q", name, marks[0], marks[1])
		}
	}
}

func TestWhatOnlyBeginsLikeAPackedBlobIsReadAsItIs(t *testing.T) {
	r := newRig(t)
	for _, text := range []string{
		"\x1f\x8b\x08", "\x1f\x8b\x08 is how gzip begins\n", "\x1f\x8b\x08\x00", "\x28\xb5\x2f\xfd", "\x28\xb5\x2f\xfd is how zstd begins\n",
		"\x1f\x8b\x08hello\nworld\n", "\x28\xb5\x2f\xfdhello\nworld\n", "\x28\xb5\x2f\xfd\nworld\n",
	} {
		id := r.keep("log", []byte(text))
		c := r.wantContent(id, []byte(text))
		if s := r.see(id, 0); len(s.marks) > 0 || len(s.texts) != max(1, strings.Count(text, "\n")) || c.Encoding != "" {
			t.Errorf("%q: %+v, encoding %q", text, s, c.Encoding)
		}
	}
}

func TestALongCutBlobIsReadInBoundedMemory(t *testing.T) {
	r := newRig(t)
	lines := bytes.Repeat(jsonLines(0, 1000), 600) // 60 MB
	for name, packed := range map[string][]byte{"gzip": packGzip(lines), "zstd": packZstd(lines)} {
		id := r.keep(name, packed[:len(packed)*9/10])
		c, _, err := r.Follow(t.Context(), id, past(0))
		r.must(err)
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		peak, last, marks := uint64(0), int64(0), 0
		for i := 0; ; i++ {
			batches, err := c.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			r.must(err)
			if last = batches[0].Last(); batches[0].Gap {
				marks++
			}
			if i%16 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&during)
				peak = max(peak, during.HeapAlloc-min(during.HeapAlloc, before.HeapAlloc))
			}
		}
		c.Close()
		t.Logf("%s: %d lines, peak %d KiB", name, last, peak>>10)
		if marks != 1 || last < 500_000 || peak > 32<<20 {
			t.Errorf("%s: %d lines, %d marks, peak %d KiB", name, last, marks, peak>>10)
		}
	}
}

func TestNothingIsAddedToADamagedBlob(t *testing.T) {
	r := newRig(t)
	cut := packGzip([]byte("hello\nworld\n"))[:24]
	id := r.keep("log", cut)
	if err := r.PutBlob(t.Context(), id, strings.NewReader("more\n"), true); !errors.Is(err, logservice.ErrDamaged) {
		t.Errorf("%v", err)
	}
	c, err := r.Blob(t.Context(), id, 0)
	r.must(err)
	defer c.Close()
	stored, _, err := c.Stored(t.Context())
	r.must(err)
	defer stored.Close()
	if got, err := io.ReadAll(stored); err != nil || !bytes.Equal(got, cut) {
		t.Errorf("stored are %q, %v", got, err)
	}
}
