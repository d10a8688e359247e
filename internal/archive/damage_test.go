package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

// readAll opens an archive and reads all of it, in both ways.
func readAll(t testing.TB, c *Codec, data []byte) (content []byte, err error) {
	r, err := c.Open(t.Context(), &file{data: data}, int64(len(data)))
	if err != nil {
		return nil, err
	}
	runs := r.Cursor(0)
	for {
		run, err := runs.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		content = append(content, run.Data...)
	}
	whole, err := io.ReadAll(r.Content(t.Context(), 0, -1))
	if err == nil && !bytes.Equal(whole, content) {
		t.Fatal("the content is not the lines")
	}
	return whole, err
}

func checkDamaged(t *testing.T, what string, err error) {
	t.Helper()
	var damage *DamageError
	if !errors.As(err, &damage) || damage.Part == "" {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestEveryFlippedBitIsDamage(t *testing.T) {
	c := NewCodec()
	gap := &logs.Batch{First: 31, Count: 5, Gap: true, Data: []byte("{\"gap\":1}\n")}
	packed := write(t, c, append(inBatches(1, buildLog(30), 7), gap)...)
	for i := range len(packed) * 8 {
		packed[i/8] ^= 1 << (i % 8)
		_, err := readAll(t, c, packed)
		if err == nil {
			t.Fatalf("bit %d of byte %d of %d flipped: no error", i%8, i/8, len(packed))
		}
		checkDamaged(t, "a flipped bit", err)
		packed[i/8] ^= 1 << (i % 8)
	}
}

func TestEveryTruncationIsDamage(t *testing.T) {
	c := NewCodec()
	packed := write(t, c, inBatches(1, buildLog(30), 7)...)
	for n := range packed {
		_, err := readAll(t, c, packed[:n])
		checkDamaged(t, "truncated", err)
	}
	for _, whole := range [][]byte{packed, write(t, c)} {
		_, err := readAll(t, c, append([]byte("more"), whole...))
		checkDamaged(t, "bytes in front", err)
	}
}

func TestASourceThatEndsEarlyIsDamage(t *testing.T) {
	c := NewCodec()
	packed := write(t, c, inBatches(1, buildLog(10000), 700)...)
	f := &file{data: packed}
	r, err := c.Open(t.Context(), f, int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	f.data = packed[:1000]
	_, err = r.Cursor(0).Next(t.Context())
	checkDamaged(t, "a blob that shrank", err)
	_, err = io.ReadAll(r.Content(t.Context(), 0, -1))
	checkDamaged(t, "a blob that shrank", err)
}

func TestExchangedFramesAreDamage(t *testing.T) {
	c := NewCodec()
	// Two lines of the same length, each in a frame: only their order differs.
	a := &logs.Batch{First: 1, Count: 1, Data: []byte("{\"a\":1}\n"), Gap: true}
	b := &logs.Batch{First: 2, Count: 1, Data: []byte("{\"b\":1}\n"), Gap: true}
	packed := write(t, c, a, b)
	size := open(t, c, packed).index.frames[0].size
	first, second := slices.Clone(packed[:size]), slices.Clone(packed[size:2*size])
	copy(packed, second)
	copy(packed[size:], first)
	_, err := readAll(t, c, packed)
	checkDamaged(t, "exchanged frames", err)
}

// forge returns an archive with valid checksums and the index x.
func forge(frames []byte, x *index) []byte {
	x.size = int64(len(frames))
	return append(slices.Clone(frames), x.encode()...)
}

func TestForgedArchivesAreDamageAndTakeNoMemory(t *testing.T) {
	c := NewCodec()
	bomb := c.enc.EncodeAll(bytes.Repeat([]byte("{}\n"), 20<<20), nil)
	sum := crc32.Checksum(bomb, castagnoli)
	small := frame{count: 1, length: 3, size: int32(len(bomb)), crc: sum}
	for name, x := range map[string]*index{
		"a frame longer than it says": {first: 1, frames: []frame{{count: 1, length: 100_000, size: int32(len(bomb)), crc: sum}}},
		"a tiny frame that is not":    {first: 1, frames: []frame{small}},
		"more lines than bytes":       {first: 1, frames: []frame{{count: 9999, length: 3000, size: 100, crc: sum}}},
		"a huge frame":                {first: 1, frames: []frame{{count: 1, length: maxFrame + 1, size: int32(len(bomb)), crc: sum}}},
		"an empty frame":              {first: 1, frames: []frame{{count: 1, length: 0, size: 9, crc: sum}}},
		"first zero":                  {first: 0},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readAll(t, c, forge(bomb, x))
		runtime.ReadMemStats(&after)
		checkDamaged(t, name, err)
		if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
			t.Errorf("%s: it took %d bytes", name, n)
		}
	}
	packed := c.enc.EncodeAll([]byte("{}\n{}\n"), nil)
	honest := frame{count: 2, length: 6, size: int32(len(packed)), crc: crc32.Checksum(packed, castagnoli)}
	content := crc32.Checksum([]byte("{}\n{}\n"), castagnoli)
	for name, change := range map[string]func(*index){
		"":                             func(*index) {},
		"fewer lines than it says":     func(x *index) { x.frames[0].count = 3 },
		"more lines than it says":      func(x *index) { x.frames[0].count = 1 },
		"a gap of two lines":           func(x *index) { x.frames[0].gap = true },
		"shorter than it says":         func(x *index) { x.frames[0].length = 7 },
		"another content than it says": func(x *index) { x.content++ },
	} {
		x := &index{first: 1, content: content, frames: []frame{honest}}
		change(x)
		if _, err := readAll(t, c, forge(packed, x)); name != "" {
			checkDamaged(t, name, err)
		} else if err != nil {
			t.Error(err)
		}
	}
	many := &index{first: 1, frames: []frame{{count: maxSequence - 1, gap: true, length: 3, size: 16}, {count: maxSequence - 1, gap: true, length: 3, size: 16}}}
	b := many.encode()
	if _, err := parseIndex(b[:len(b)-skippableHeader-3*seekEntrySize-seekFooterSize]); err == nil || !strings.Contains(err.Error(), "frame 2 of 2") {
		t.Error("sequences that overflow:", err)
	}
	// A number of frames that does not fit in a file of this size.
	data := write(t, c)
	binary.LittleEndian.PutUint32(data[len(data)-9:], maxFrames)
	_, err := readAll(t, c, data)
	checkDamaged(t, "too many frames", err)
}

func FuzzReader(f *testing.F) {
	c := NewCodec()
	f.Add([]byte{}, uint32(0))
	f.Add([]byte("{\"out\":\"x\"}\n"), uint32(3))
	f.Add(buildLog(20), uint32(2000))
	f.Add(bytes.Repeat([]byte("{}\n"), 200), uint32(1<<31))
	f.Fuzz(func(t *testing.T, data []byte, where uint32) {
		// As an archive: an error, or lines.
		if content, err := readAll(t, c, data); err == nil && len(content) > 1<<30 {
			t.Fatal("too much")
		}
		// As the lines of a plain archive, intact and damaged at one place.
		data = append(bytes.TrimRight(data, "\n"), '\n')
		packed := write(t, c, inBatches(1, data, 10)...)
		if content, err := readAll(t, c, packed); err != nil || !bytes.Equal(content, data) {
			t.Fatal("not as written:", err)
		}
		packed[int(where)%len(packed)] ^= byte(where>>24) | 1
		if _, err := readAll(t, c, packed); err == nil {
			t.Fatal("damage was not seen")
		}
	})
}

// FuzzIndex bypasses the checksums.
func FuzzIndex(f *testing.F) {
	c := NewCodec()
	packed := write(f, c, inBatches(1, buildLog(20), 7)...)
	r := open(f, c, packed)
	f.Add(packed[:r.index.size], packed[r.index.size+skippableHeader:])
	f.Fuzz(func(t *testing.T, frames, payload []byte) {
		if len(payload) < 4 {
			return
		}
		b := append(make([]byte, skippableHeader), payload...)
		putHeader(b, indexMagic, len(payload))
		binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[skippableHeader:len(b)-4], castagnoli))
		x, err := parseIndex(b)
		if err != nil {
			return
		}
		data := append(slices.Clone(frames), b...)
		readAll(t, c, x.appendSeekTable(data, len(b)))
	})
}

// badByte is a source with a byte that cannot be read.
type badByte struct {
	file
	at int64
}

func (f *badByte) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if offset <= f.at && f.at < offset+length {
		return nil, fmt.Errorf("a bad sector: %w", logs.ErrDamaged)
	}
	return f.file.Range(ctx, offset, length)
}

// Frames are read ahead, several at a time: those that can be read are not lost
// with the one that cannot.
func TestABadSectorCostsItsFrameOnly(t *testing.T) {
	c := NewCodec()
	packed := write(t, c, inBatches(1, buildLog(60_000), 1000)...)
	frames := open(t, NewCodec(), packed).index.frames
	if len(frames) < 10 {
		t.Fatal(len(frames), "frames")
	}
	for i, f := range frames {
		src := &badByte{file: file{data: packed}, at: f.offset + int64(f.size)/2}
		r, err := NewCodec().Open(t.Context(), src, int64(len(packed)))
		if err != nil {
			if i < len(frames)-1 { // the last is read together with the index
				t.Fatal(err)
			}
			continue
		}
		x := r.Cursor(0)
		var lost []int64
		for {
			_, err := x.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				first, count := x.Skip()
				lost = append(lost, first, count)
			}
		}
		if len(lost) != 2 || lost[0] != f.first || lost[1] != f.count {
			t.Errorf("frame %d of %d: lost %v", i, len(frames), lost)
		}
	}
}
