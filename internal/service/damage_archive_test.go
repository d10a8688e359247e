package service_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/s3/s3test"
)

// archived is the log of lines, with a gap of 10 after it, as this service
// stores it; index is nil for zstd.
func archived(t *testing.T, lines []byte, plain bool) (data, index []byte) {
	t.Helper()
	var b bytes.Buffer
	codec := archive.NewCodec()
	w := codec.NewWriter(&b)
	if plain {
		w = codec.NewPlainWriter(&b)
	}
	count := int64(bytes.Count(lines, []byte{'\n'}))
	batches := []*logs.Batch{{First: 1, Count: count, Data: lines}, logs.NewGap(count+1, 10)}
	for _, batch := range batches {
		if err := w.Append(batch); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if plain {
		index = w.Index()
	}
	return b.Bytes(), index
}

// frameEnds are where the frames of an archive end, the line index included.
func frameEnds(data []byte) (ends []int) {
	n := int(binary.LittleEndian.Uint32(data[len(data)-9:]))
	at := 0
	for table := data[len(data)-9-8*n:]; len(ends) < n; table = table[8:] {
		at += int(binary.LittleEndian.Uint32(table))
		ends = append(ends, at)
	}
	return ends
}

// archives is a rig with one of the stores, as one puts archives into it.
type archives struct {
	*rig
	put func(id logservice.ID, data, index []byte)
}

func onEveryStore(t *testing.T, test func(t *testing.T, a archives, plain bool)) {
	known := texts{}
	t.Run("embedded", func(t *testing.T) {
		r := newRig(t)
		r.texts = known
		test(t, archives{r, func(id logservice.ID, data, _ []byte) {
			r.must(r.store.Put(t.Context(), id, bytes.NewReader(data), logs.BlobInfo{Archive: true}))
		}}, false)
	})
	for _, kind := range s3test.Kinds() {
		for _, plain := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, plain %v", kind, plain), func(t *testing.T) {
				b := newBucket(t, kind)
				r := objectRig(t, b)
				r.texts = known
				test(t, archives{r, func(id logservice.ID, data, index []byte) {
					info := logs.BlobInfo{Archive: true, Plain: plain}
					if plain {
						r.must(b.PutIndexed(t.Context(), id, bytes.NewReader(data), info, func() []byte { return index }))
					} else {
						r.must(b.Put(t.Context(), id, bytes.NewReader(data), info))
					}
				}}, plain)
			})
		}
	}
}

const archiveLines = 12_000

func TestADamagedFrameCostsItsLinesOnly(t *testing.T) {
	onEveryStore(t, func(t *testing.T, a archives, plain bool) {
		for tenth := 0; tenth <= 10; tenth += 2 {
			lines := randomLines(uint64(tenth)) // readers of the same content share it
			data, index := archived(t, lines, plain)
			end := len(lines) // the gap is after them
			if !plain {
				ends := frameEnds(data)
				end = ends[len(ends)-3]
			}
			data[tenth*(end-1)/10] ^= 0x10
			id := logservice.ID{Account: "acme", Key: logservice.Key(fmt.Sprint("flipped/", tenth))}
			a.put(id, data, index)
			a.wantOneFrameLost(t, id, lines)
		}
	})
}

// randomLines do not compress well: their archive has many chunks and frames.
func randomLines(seed uint64) (data []byte) {
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range archiveLines {
		data = fmt.Appendf(data, `{"pos":%d,"out":"%016x%016x\n"}`+"\n", i, random.Uint64(), random.Uint64())
	}
	return data
}

// wantOneFrameLost checks that a reader gets all lines but those of one frame,
// from wherever it begins.
func (a archives) wantOneFrameLost(t *testing.T, id logservice.ID, lines []byte) {
	t.Helper()
	s := a.see(id, 0)
	if len(s.marks) != 1 || s.marks[0].Rest || s.marks[0].Damage == "" {
		t.Errorf("%s: %+v, want one mark", id.Key, s.marks)
		return
	}
	lost := s.marks[0]
	if lost.Lines() < 1 || lost.Lines() > archiveLines/2 || s.last != archiveLines+10 {
		t.Errorf("%s: lost %+v, last line %d", id.Key, lost, s.last)
	}
	want := a.readableLines(lines, lost)
	if got := strings.Join(s.texts[:len(s.texts)-1], ""); got != want || s.texts[len(s.texts)-1] != "[10 lines lost]\n" {
		t.Errorf("%s: %d bytes, want %d; the last line is %q", id.Key, len(got), len(want), s.texts[len(s.texts)-1])
	}
	for _, after := range []int64{lost.First - 1, lost.First, lost.Last, lost.Last + 5} {
		got := a.see(id, after)
		if after < lost.Last && (len(got.marks) != 1 || got.marks[0].First != after+1 || got.marks[0].Last != lost.Last) ||
			after >= lost.Last && len(got.marks) > 0 || got.last != archiveLines+10 {
			t.Errorf("%s after %d: %+v, last line %d", id.Key, after, got.marks, got.last)
		}
	}
	// A download has the other bytes where they were.
	got, damage := a.readable(id)
	if damage == nil || strings.Count(string(got), `"damage":"`) != 1 {
		t.Errorf("%s: downloaded %d bytes, %v", id.Key, len(got), damage)
	}
	if lost.First > 1 && len(got) != a.size(id) {
		t.Errorf("%s: downloaded %d bytes, want %d", id.Key, len(got), a.size(id))
	}
	a.wantRanges(t, id, lines, lost)
}

// readableLines is the text of lines without those that are lost.
func (r *rig) readableLines(lines []byte, lost logservice.Gap) string {
	r.t.Helper()
	var b strings.Builder
	seq := int64(0)
	for line := range bytes.Lines(lines) {
		if seq++; seq < lost.First || seq > lost.Last {
			b.WriteString(r.texts.of(r.t, line))
		}
	}
	return b.String()
}

func (a archives) size(id logservice.ID) int {
	c, err := a.Blob(a.t.Context(), id, 0)
	a.must(err)
	defer c.Close()
	return int(c.Size)
}

// wantRanges reads ranges around what is lost.
func (a archives) wantRanges(t *testing.T, id logservice.ID, lines []byte, lost logservice.Gap) {
	t.Helper()
	c, err := a.Blob(t.Context(), id, 0)
	a.must(err)
	defer c.Close()
	from := len(lines) - len(cutLines(lines, lost.First-1))
	to := len(lines) - len(cutLines(lines, lost.Last))
	for _, x := range [][2]int{{from - 100, 100}, {from - 100, to - from + 200}, {from, 10}, {(from + to) / 2, to - from}, {to - 1, 101}, {to, 100}} {
		at, length := max(x[0], 0), min(x[1], len(lines)-max(x[0], 0))
		r, err := c.Readable(t.Context(), int64(at), int64(length))
		a.must(err)
		got, err := io.ReadAll(r)
		a.must(errors.Join(err, r.Close()))
		if len(got) != length || r.Size != int64(length) {
			t.Errorf("%s: %d bytes at %d, size %d, want %d", id.Key, len(got), at, r.Size, length)
			continue
		}
		before, after := min(max(from-at, 0), length), min(max(to-at, 0), length) // in got: what is lost is between them
		if !bytes.Equal(got[:before], lines[at:at+before]) || !bytes.Equal(got[after:], lines[at+after:at+length]) {
			t.Errorf("%s: range %d+%d: bytes that are not lost are wrong", id.Key, at, length)
		}
	}
}

// cutLines is data without its first n lines.
func cutLines(data []byte, n int64) []byte {
	for range n {
		data = data[bytes.IndexByte(data, '\n')+1:]
	}
	return data
}

func TestAnArchiveThatIsCutOrHasABadIndexIsReadFromItsBeginning(t *testing.T) {
	onEveryStore(t, func(t *testing.T, a archives, plain bool) {
		lines := jsonLines(0, archiveLines)
		data, index := archived(t, lines, plain)
		want := a.readableLines(lines, logservice.Gap{})
		for what, bad := range brokenEnds(data, index) {
			id := logservice.ID{Account: "acme", Key: logservice.Key("broken/" + strings.ReplaceAll(what, " ", "-"))}
			a.put(id, bad.data, bad.index)
			s := a.see(id, 0)
			s.wantMark(t, what)
			text := strings.TrimSuffix(strings.Join(s.texts, ""), "[10 lines lost]\n")
			if bad.all && text != want || !strings.HasPrefix(want, text[:min(len(text), len(want)/20)]) {
				t.Errorf("%s: %d bytes, want %d", what, len(text), len(want))
			}
			if again := a.see(id, s.last); len(again.marks)+len(again.texts) > 0 {
				t.Errorf("%s: after the mark: %+v", what, again)
			}
			if got, damage := a.readable(id); damage == nil || !bytes.HasSuffix(got, []byte("\"args\":null}\n")) || bytes.Count(got, []byte(`"rest":true`)) != 1 {
				t.Errorf("%s: downloaded %d bytes, %v", what, len(got), damage)
			}
		}
	})
}

type broken struct {
	data, index []byte
	all         bool // lines can be read
}

func brokenEnds(data, index []byte) map[string]broken {
	flipped := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	m := map[string]broken{"cut inside a frame": {data[:len(data)/2], index, false}}
	if index != nil {
		m["bad checksum"] = broken{data, flipped(index, len(index)-1), true}
		m["bad number in the index"] = broken{data, flipped(index, 20), true}
		m["half an index"] = broken{data, index[:len(index)/2], true}
		m["longer"] = broken{append(bytes.Clone(data), "{}\n"...), index, false}
		return m
	}
	ends := frameEnds(data)
	end := ends[len(ends)-2] // of the lines
	m["cut to a byte"] = broken{data[:1], nil, false}
	m["no index"] = broken{data[:end], nil, true}
	m["no seek table"] = broken{data[:ends[len(ends)-1]], nil, true}
	m["cut after a frame"] = broken{data[:ends[0]], nil, false}
	m["bad index magic"] = broken{flipped(data, end), nil, true}
	m["bad index"] = broken{flipped(data, end+30), nil, true}
	m["bad checksum"] = broken{flipped(data, ends[len(ends)-1]-1), nil, true}
	m["bad seek table"] = broken{flipped(data, len(data)-1), nil, true}
	m["cut in the seek table"] = broken{data[:len(data)-3], nil, true}
	return m
}

func TestEveryFlippedBitOfASmallArchiveIsMarked(t *testing.T) {
	a := newRig(t)
	lines := jsonLines(0, 5)
	data, _ := archived(t, lines, false)
	want := a.readableLines(lines, logservice.Gap{})
	for at := range data {
		bad := bytes.Clone(data)
		bad[at] ^= 1 << (at % 8)
		id := logservice.ID{Account: "acme", Key: "flipped"}
		a.must(a.store.Put(t.Context(), id, bytes.NewReader(bad), logs.BlobInfo{Archive: true}))
		s := a.see(id, 0)
		text := strings.TrimSuffix(strings.Join(s.texts, ""), "[10 lines lost]\n")
		if len(s.marks) != 1 || !strings.HasPrefix(want, text) {
			t.Errorf("byte %d of %d: %+v", at, len(data), s)
		}
		if got, damage := a.readable(id); damage == nil || bytes.Count(got, []byte(`"damage":"`)) != 1 {
			t.Errorf("byte %d of %d: downloaded %q, %v", at, len(data), got, damage)
		}
	}
}
