package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// attempts checks that the attempts of a log are stored apart, that the newest
// is the one which is read, and that they go together.
func attempts(t *testing.T, s logs.Store) {
	long := strings.Repeat("k", logservice.MaxKeyBytes)
	keys := []string{"a", "a/b", "a-b", "a ", "a!", "a.2", "a!.2", "b", long}
	numbers := []int64{1, 2, 3, 9, 10, 11, 256, 65536, 1<<32 - 1}
	content := func(key string, n int64) []byte { return fmt.Appendf(nil, "%s %d", key, n) }
	check := func(key string, want ...int64) {
		t.Helper()
		id := ID("acc", key)
		infos, err := s.Attempts(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		bytes := int64(0)
		for _, info := range infos {
			got = append(got, info.Attempt)
			bytes += info.Size
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%.20q has the attempts %v, want %v", key, got, want)
		}
		for _, n := range numbers {
			b, err := s.GetAttempt(t.Context(), id, n)
			if !slices.Contains(want, n) {
				if !errors.Is(err, logservice.ErrBlobNotFound) {
					t.Errorf("attempt %d of %.20q: %v, want ErrBlobNotFound", n, key, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := readRange(t, b, 0, -1); string(got) != string(content(key, n)) || b.Info().Attempt != n {
				t.Errorf("attempt %d of %.20q is attempt %d and holds %.40q", n, key, b.Info().Attempt, got)
			}
			_ = b.Close()
		}
		if len(want) == 0 {
			if _, err := s.Get(t.Context(), id); !errors.Is(err, logservice.ErrBlobNotFound) {
				t.Errorf("Get of %.20q: %v, want ErrBlobNotFound", key, err)
			}
			return
		}
		newest := slices.Max(want)
		if b := mustGet(t, s, id); b.Info().Attempt != newest {
			t.Errorf("Get of %.20q opens attempt %d, want %d", key, b.Info().Attempt, newest)
		}
		mustHold(t, s, id, content(key, newest))
		for _, prefix := range []string{"", key} {
			i := slices.IndexFunc(list(t, s, "acc", prefix), func(e logs.BlobEntry) bool { return e.Key == id.Key })
			if i < 0 {
				t.Fatalf("a listing of %.20q misses %.20q", prefix, key)
			}
			e := list(t, s, "acc", prefix)[i]
			if e.Info.Attempt != newest || e.Attempts != len(want) || e.Bytes != bytes || e.Info.Size != int64(len(content(key, newest))) {
				t.Errorf("%.20q is listed as %+v", key, e)
			}
		}
	}
	for _, key := range keys {
		check(key)
		var stored []int64
		for _, i := range []int{3, 1, 0, 8, 2, 5, 4, 7, 6} { // in any order
			stored = append(stored, numbers[i])
			slices.Sort(stored)
			mustPut(t, s, ID("acc", key), content(key, numbers[i]), logs.BlobInfo{Attempt: numbers[i]})
			if i%3 == 0 || key == "a" {
				check(key, stored...)
			}
		}
		check(key, numbers...)
	}
	if got := list(t, s, "acc", ""); len(got) != len(keys) {
		t.Errorf("%d logs are listed, want %d", len(got), len(keys))
	}
	for i, key := range keys {
		if err := s.Delete(t.Context(), ID("acc", key)); err != nil {
			t.Fatal(err)
		}
		check(key)
		if i+1 < len(keys) {
			check(keys[i+1], numbers...)
		}
	}
	for _, n := range []int64{-1, 1 << 32} {
		if err := s.Put(t.Context(), ID("acc", "a"), strings.NewReader("x"), logs.BlobInfo{Attempt: n}); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("Put of attempt %d: %v, want ErrInvalid", n, err)
		}
		if _, err := s.GetAttempt(t.Context(), ID("acc", "a"), n); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("Get of attempt %d: %v, want ErrInvalid", n, err)
		}
	}
}
