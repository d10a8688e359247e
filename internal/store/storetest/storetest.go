// Package storetest is the conformance suite of blob stores: every
// implementation of logs.Store passes Run.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Limits are the parts of the contract that a store may omit.
type Limits struct {
	// ReadersEnd: readers of a blob that is replaced or deleted get an error.
	ReadersEnd bool
	// ListsSizes: a listing sets only Size and Modified of BlobInfo.
	ListsSizes bool
}

// Long reports whether the tests are asked for that take longer than a quick run may.
func Long() bool { return os.Getenv("LOG_SERVICE_TEST_LONG") != "" }

// Run tests the stores that open returns. Each is empty and is closed by
// open's own t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) logs.Store, limits Limits) {
	outlives, neverMixed, infoRoundTrip := outlives, neverMixed, infoRoundTrip
	if limits.ReadersEnd {
		outlives, neverMixed = endsOrOutlives, neverMixedUnlessEnded
	}
	if limits.ListsSizes {
		infoRoundTrip = infoRoundTripWithoutList
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, logs.Store)
	}{
		{"a blob comes back as it was stored", roundTrip},
		{"what is kept beside the bytes comes back", infoRoundTrip},
		{"ranges end where the blob ends", ranges},
		{"a blob that is not there is not found", notFound},
		{"a new blob replaces the old one", replaces},
		{"a reader that fails leaves the old blob", failingReader},
		{"deleting twice is no error", deletes},
		{"invalid identities are refused", refusesInvalid},
		{"engines keep what is theirs in an account of their own", internalAccount},
		{"a cancelled upload leaves nothing", cancelled},
		{"a listing is in order and ends at boundaries", listsSegments},
		{"a listing of many blobs misses none", listsMany},
		{"a listing may be left and the store changed meanwhile", listsWhileChanging},
		{"attempts of a log are stored apart", attempts},
		{"no identity reaches another", injective},
		{"an open blob outlives its replacement and its deletion", outlives},
		{"ranges of one blob are read side by side", parallelRanges},
		{"readers never see two blobs mixed", neverMixed},
		{"many small blobs are stored at once", manyPuts},
		{"the store behaves as a map", model},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// chunk is a size at which stores that use chunks may be wrong.
const chunk = 256 << 10

// sizes are blob sizes at and around the boundaries in stores.
var sizes = []int{0, 1, 100, 8<<10 - 1, 8 << 10, 8<<10 + 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5<<20 + 12345}

func roundTrip(t *testing.T, s logs.Store) {
	for kind, content := range map[string]func(int) []byte{"log": Text, "noise": Noise} {
		for _, size := range sizes {
			for _, archive := range []bool{false, true} {
				id := ID("acc", fmt.Sprintf("%s/%d/%v", kind, size, archive))
				want := content(size)
				mustPut(t, s, id, want, logs.BlobInfo{Archive: archive})
				mustHold(t, s, id, want)
			}
		}
	}
	// Readers that return few bytes at a time, and io.EOF with the last bytes.
	want := Text(chunk + 99)
	if err := s.Put(t.Context(), ID("acc", "drip"), &dripReader{rest: want}, logs.BlobInfo{}); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, ID("acc", "drip"), want)
}

func infoRoundTrip(t *testing.T, s logs.Store) {
	infoComesBack(t, s, func(i logs.BlobInfo) logs.BlobInfo { return i })
}

func infoRoundTripWithoutList(t *testing.T, s logs.Store) {
	infoComesBack(t, s, func(i logs.BlobInfo) logs.BlobInfo {
		return logs.BlobInfo{Attempt: i.Attempt, Size: i.Size, Modified: i.Modified}
	})
}

func infoComesBack(t *testing.T, s logs.Store, listed func(logs.BlobInfo) logs.BlobInfo) {
	for _, size := range []int{10, chunk + 1} {
		before := time.Now().Add(-time.Second)
		want := logs.BlobInfo{Archive: true, RawSize: 1 << 40, Lines: 123456789, Incomplete: true, Streamed: true, Size: 77, Modified: time.Unix(1, 0)}
		mustPut(t, s, ID("acc", "log"), Noise(size), want)
		b := mustGet(t, s, ID("acc", "log"))
		got := b.Info()
		if got.Size != int64(size) {
			t.Errorf("Size = %d, want %d: the store sets it", got.Size, size)
		}
		if got.Modified.Before(before) || got.Modified.After(time.Now().Add(time.Second)) {
			t.Errorf("Modified = %v: the store sets it to now", got.Modified)
		}
		if !got.Archive || !got.Incomplete || !got.Streamed || got.RawSize != want.RawSize || got.Lines != want.Lines {
			t.Errorf("Info = %+v, want %+v", got, want)
		}
		if entries := list(t, s, "acc", ""); len(entries) != 1 || entries[0].Info != listed(got) {
			t.Errorf("List = %+v, want one entry with %+v", entries, listed(got))
		}
	}
	mustPut(t, s, ID("acc", "log"), nil, logs.BlobInfo{})
	if got := mustGet(t, s, ID("acc", "log")).Info(); got.Archive || got.Incomplete || got.Streamed || got.RawSize != 0 || got.Lines != 0 || got.Size != 0 {
		t.Errorf("Info = %+v, want that of the new blob alone", got)
	}
}

func ranges(t *testing.T, s logs.Store) {
	for _, size := range []int{0, 1, 1000, 3*chunk + 17} {
		want := Text(size)
		id := ID("acc", fmt.Sprint(size))
		mustPut(t, s, id, want, logs.BlobInfo{})
		b := mustGet(t, s, id)
		for _, offset := range []int{0, 1, chunk - 1, chunk, chunk + 1, size - 1, size, size + 1, size + 10*chunk} {
			if offset < 0 {
				continue
			}
			for _, length := range []int{-1, 0, 1, chunk, 2*chunk + 1, size, size * 2} {
				from := min(offset, size)
				to := size
				if length >= 0 {
					to = min(from+length, size)
				}
				if got := readRange(t, b, int64(offset), int64(length)); !bytes.Equal(got, want[from:to]) {
					t.Fatalf("Range(%d, %d) of %d bytes: %d bytes, want %d or other bytes", offset, length, size, len(got), to-from)
				}
			}
		}
		if _, err := b.Range(t.Context(), -1, 1); err == nil {
			t.Error("Range(-1, 1): no error")
		}
	}
}

func notFound(t *testing.T, s logs.Store) {
	if _, err := s.Get(t.Context(), ID("acc", "none")); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Errorf("Get: %v, want ErrBlobNotFound", err)
	}
	mustPut(t, s, ID("acc", "some"), Text(10), logs.BlobInfo{})
	for _, id := range []logservice.ID{ID("acc", "som"), ID("acc", "some/x"), ID("ac", "some"), ID("acc2", "some")} {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, logservice.ErrBlobNotFound) {
			t.Errorf("Get(%v): %v, want ErrBlobNotFound", id, err)
		}
	}
}

func replaces(t *testing.T, s logs.Store) {
	id := ID("acc", "log")
	for _, size := range []int{100, 3 * chunk, 0, 2*chunk + 1, chunk - 1, 5} {
		want := Noise(size)
		mustPut(t, s, id, want, logs.BlobInfo{})
		mustHold(t, s, id, want)
	}
	if entries := list(t, s, "acc", ""); len(entries) != 1 {
		t.Errorf("%d entries, want 1", len(entries))
	}
}

var errBroken = errors.New("the client went away")

func failingReader(t *testing.T, s logs.Store) {
	for _, after := range []int{0, 1, 8 << 10, chunk, 5 << 20} {
		for _, old := range []int{-1, 10, chunk + 1} {
			id := ID("acc", fmt.Sprintf("%d/%d", after, old))
			var want []byte
			if old >= 0 {
				want = Text(old)
				mustPut(t, s, id, want, logs.BlobInfo{})
			}
			r := io.MultiReader(bytes.NewReader(Noise(after)), &failReader{err: errBroken})
			if err := s.Put(t.Context(), id, r, logs.BlobInfo{}); !errors.Is(err, errBroken) {
				t.Fatalf("Put: %v, want the reader's error", err)
			}
			if old >= 0 {
				mustHold(t, s, id, want)
			} else if _, err := s.Get(t.Context(), id); !errors.Is(err, logservice.ErrBlobNotFound) {
				t.Fatalf("Get: %v, want ErrBlobNotFound", err)
			}
		}
	}
}

func deletes(t *testing.T, s logs.Store) {
	for _, size := range []int{10, 5 << 20} {
		id := ID("acc", "log")
		mustPut(t, s, id, Noise(size), logs.BlobInfo{})
		mustPut(t, s, ID("acc", "log/other"), Text(size), logs.BlobInfo{})
		for range 2 {
			if err := s.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(t.Context(), id); !errors.Is(err, logservice.ErrBlobNotFound) {
				t.Fatalf("Get: %v, want ErrBlobNotFound", err)
			}
		}
		mustHold(t, s, ID("acc", "log/other"), Text(size))
	}
	if err := s.Delete(t.Context(), ID("acc", "never")); err != nil {
		t.Errorf("Delete of what never was: %v", err)
	}
}

// ID returns an identity as written in tests, unchecked.
func ID(account, key string) logservice.ID {
	return logservice.ID{Account: account, Key: logservice.Key(key)}
}

// Text returns n bytes that look like a build log. They are the same at each
// call.
func Text(n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, 0, n+200)
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, `{"level":"info","pos":%d,"out":"compile -o $WORK/b%03d/_pkg_.a -trimpath $WORK/b%03d=> -p internal/%x -complete\n","time":"2024-05-01T10:%02d:%02dZ","args":null}`+"\n",
			i, rng.IntN(999), rng.IntN(999), rng.Uint32(), i/60%60, i%60)
	}
	return b[:n]
}

// Noise returns n bytes that do not compress. They are the same at each call.
func Noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

func mustPut(t *testing.T, s logs.Store, id logservice.ID, content []byte, info logs.BlobInfo) {
	t.Helper()
	if err := s.Put(t.Context(), id, bytes.NewReader(content), info); err != nil {
		t.Fatalf("Put(%v) of %d bytes: %v", id, len(content), err)
	}
}

func mustGet(t *testing.T, s logs.Store, id logservice.ID) logs.Blob {
	t.Helper()
	b, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get(%v): %v", id, err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func mustHold(t *testing.T, s logs.Store, id logservice.ID, want []byte) {
	t.Helper()
	b, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get(%v): %v", id, err)
	}
	defer func() { _ = b.Close() }()
	if got := readRange(t, b, 0, -1); !bytes.Equal(got, want) {
		t.Fatalf("%v holds %d bytes, want %d or other bytes", id, len(got), len(want))
	}
}

func readRange(t *testing.T, b logs.Blob, offset, length int64) []byte {
	t.Helper()
	r, err := b.Range(t.Context(), offset, length)
	if err != nil {
		t.Fatalf("Range(%d, %d): %v", offset, length, err)
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("Range(%d, %d): %v", offset, length, err)
	}
	return got
}

func list(t *testing.T, s logs.Store, account, prefix string) (out []logs.BlobEntry) {
	t.Helper()
	for entry, err := range s.List(t.Context(), account, logservice.Key(prefix)) {
		if err != nil {
			t.Fatalf("List(%q, %q): %v", account, prefix, err)
		}
		out = append(out, entry)
	}
	return out
}

type failReader struct{ err error }

func (r *failReader) Read([]byte) (int, error) { return 0, r.err }

// dripReader returns odd counts, sometimes zero, and io.EOF with the last
// bytes.
type dripReader struct {
	rest  []byte
	calls int
}

func (r *dripReader) Read(p []byte) (int, error) {
	if r.calls++; r.calls%3 == 0 {
		return 0, nil
	}
	n := copy(p[:min(len(p), 4099)], r.rest)
	if r.rest = r.rest[n:]; len(r.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}
