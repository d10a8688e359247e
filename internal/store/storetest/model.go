package storetest

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// model applies the same random calls to the store and to a map.
func model(t *testing.T, s logs.Store) {
	var account int // one per run, so that runs do not interfere
	rapid.Check(t, func(rt *rapid.T) {
		account++
		m := &machine{t: t, s: s, account: "run" + string(rune('A'+account%26)), want: map[string][]byte{}}
		for _, entry := range list(t, s, m.account, "") {
			if err := s.Delete(t.Context(), ID(m.account, string(entry.Key))); err != nil {
				rt.Fatal(err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": m.put, "break": m.breakOff, "get": m.get, "delete": m.delete, "list": m.list,
		})
	})
}

type machine struct {
	t       *testing.T
	s       logs.Store
	account string
	want    map[string][]byte
}

func (m *machine) key(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "a/b", "a-b", "ab", "a/b/c", "b", "b:1", "b:10", "b:1/x", "b:1-commandUnit:x", "b:1-commandUni/x", "b:10-commandUnit:x"}).Draw(rt, "key")
}

func (m *machine) content(rt *rapid.T) []byte {
	size := rapid.OneOf(rapid.IntRange(0, 50), rapid.SampledFrom([]int{8 << 10, 9000, chunk, chunk + 1, 3 * chunk})).Draw(rt, "size")
	if rapid.Bool().Draw(rt, "noise") {
		return Noise(size)
	}
	return Text(size)
}

func (m *machine) put(rt *rapid.T) {
	key, content := m.key(rt), m.content(rt)
	info := logs.BlobInfo{Archive: rapid.Bool().Draw(rt, "archive")}
	if err := m.s.Put(m.t.Context(), ID(m.account, key), bytes.NewReader(content), info); err != nil {
		rt.Fatal(err)
	}
	m.want[key] = content
}

func (m *machine) breakOff(rt *rapid.T) {
	r := io.MultiReader(bytes.NewReader(m.content(rt)), &failReader{err: errBroken})
	if err := m.s.Put(m.t.Context(), ID(m.account, m.key(rt)), r, logs.BlobInfo{}); !errors.Is(err, errBroken) {
		rt.Fatalf("Put: %v", err)
	}
}

func (m *machine) get(rt *rapid.T) {
	key := m.key(rt)
	want, ok := m.want[key]
	b, err := m.s.Get(m.t.Context(), ID(m.account, key))
	if !ok {
		if !errors.Is(err, logservice.ErrBlobNotFound) {
			rt.Fatalf("Get: %v, want ErrBlobNotFound", err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	from := rapid.IntRange(0, len(want)).Draw(rt, "from")
	length := rapid.IntRange(-1, len(want)).Draw(rt, "length")
	to := len(want)
	if length >= 0 {
		to = min(from+length, to)
	}
	r, err := b.Range(m.t.Context(), int64(from), int64(length))
	if err != nil {
		rt.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want[from:to]) {
		rt.Fatalf("Range(%d, %d) of %d bytes: %d bytes, %v", from, length, len(want), len(got), err)
	}
}

func (m *machine) delete(rt *rapid.T) {
	key := m.key(rt)
	if err := m.s.Delete(m.t.Context(), ID(m.account, key)); err != nil {
		rt.Fatal(err)
	}
	delete(m.want, key)
}

func (m *machine) list(rt *rapid.T) {
	prefix := logservice.Key("")
	if rapid.Bool().Draw(rt, "below") {
		prefix = logservice.Key(m.key(rt))
	}
	var got, want []string
	for entry, err := range m.s.List(m.t.Context(), m.account, prefix) {
		if err != nil {
			rt.Fatal(err)
		}
		got = append(got, string(entry.Key))
		if entry.Info.Size != int64(len(m.want[string(entry.Key)])) {
			rt.Fatalf("size of %q = %d", entry.Key, entry.Info.Size)
		}
	}
	for key := range maps.Keys(m.want) {
		if logservice.Key(key).Under(prefix) {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		rt.Fatalf("List(%q) = %q, want %q", prefix, got, want)
	}
}
