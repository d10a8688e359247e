package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func refusesInvalid(t *testing.T, s logs.Store) {
	for _, id := range []logservice.ID{
		ID("", "k"), ID("a", ""), ID("a/b", "k"), ID("..", "k"), ID("a", "../b"), ID("a", "b/./c"),
		ID("a", "/b"), ID("a", "b/"), ID("a", "b//c"), ID("a\x00b", "k"), ID("a", "b\x00c"), ID("a", "b\nc"),
		ID("a", "\xff"), ID("a", strings.Repeat("k", logservice.MaxKeyBytes+1)),
		ID(strings.Repeat("a", logservice.MaxAccountBytes+1), "k"),
	} {
		if err := s.Put(t.Context(), id, bytes.NewReader([]byte("x")), logs.BlobInfo{}); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("Put(%q): %v, want ErrInvalid", id, err)
		}
		if _, err := s.Get(t.Context(), id); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("Get(%q): %v, want ErrInvalid", id, err)
		}
		if err := s.Delete(t.Context(), id); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("Delete(%q): %v, want ErrInvalid", id, err)
		}
	}
	for _, c := range [][2]string{{"", ""}, {"a/b", ""}, {"a\x00b", ""}, {"a", "/"}, {"a", "x/"}, {"a", ".."}, {"a", "\x00"}} {
		var got error
		for _, err := range s.List(t.Context(), c[0], logservice.Key(c[1])) {
			got = err
		}
		if !errors.Is(got, logservice.ErrInvalid) {
			t.Errorf("List(%q, %q): %v, want ErrInvalid", c[0], c[1], got)
		}
	}
}

func internalAccount(t *testing.T, s logs.Store) {
	own := ID(logservice.InternalAccount, "a/1")
	mustPut(t, s, own, Text(100), logs.BlobInfo{Archive: true})
	mustPut(t, s, ID("internal", "a/1"), Text(10), logs.BlobInfo{})
	mustHold(t, s, own, Text(100))
	for e, err := range s.List(t.Context(), logservice.InternalAccount, "a") {
		if err != nil || e.Key != "a/1" || e.Info.Size != 100 {
			t.Fatalf("listed %+v, %v", e, err)
		}
		if err := s.Delete(t.Context(), own); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(t.Context(), own); !errors.Is(err, logservice.ErrBlobNotFound) {
		t.Fatalf("a deleted blob: %v", err)
	}
}

func cancelled(t *testing.T, s logs.Store) {
	id := ID("acc", "log")
	mustPut(t, s, id, Text(10), logs.BlobInfo{})
	for _, size := range []int{10, 3 * chunk, 9 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		r := io.MultiReader(bytes.NewReader(Noise(size)), &callReader{call: cancel})
		if err := s.Put(ctx, id, r, logs.BlobInfo{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("Put: %v, want context.Canceled", err)
		}
		cancel()
		mustHold(t, s, id, Text(10))
	}
}

// callReader calls a function and then ends.
type callReader struct{ call func() }

func (r *callReader) Read([]byte) (int, error) { r.call(); return 0, io.EOF }

func listsSegments(t *testing.T, s logs.Store) {
	keys := []string{
		"run:1", "run:1!", "run:1-x", "run:1.x", "run:1/x", "run:1/x/y", "run:1/z", "run:10", "run:10/x", "run:1/x-y",
		"run:2", "run", "runs", "a", "a/b", "a/b/c", "a-b", "ab", "é/ü", "é", "~", "z/*", "z/?", "z/%2e", `z\y`, "A", "a b/c d",
		"run:1-commandUnit:x", "run:1-commandUnit:x/y", "run:1-commandUnit:", "run:1-commandUnitx", "run:10-commandUnit:x", "run:1-commandUnit;", "a/b-commandUnit:c",
	}

	for i, key := range keys {
		mustPut(t, s, ID("acc", key), Text(i), logs.BlobInfo{})
		mustPut(t, s, ID("acc2", key+"2"), nil, logs.BlobInfo{})
		mustPut(t, s, ID("ac", key+"3"), nil, logs.BlobInfo{})
	}
	prefixes := append([]string{"", "run:", "none", "z", "zz", "run:1/", "x/y"}, keys...)
	for _, prefix := range prefixes {
		if _, err := logservice.ParseKey(prefix); prefix != "" && err != nil {
			continue
		}
		var want []string
		for _, key := range keys {
			if logservice.Key(key).Under(logservice.Key(prefix)) {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		var got []string
		for _, entry := range list(t, s, "acc", prefix) {
			got = append(got, string(entry.Key))
			if i := slices.Index(keys, string(entry.Key)); entry.Info.Size != int64(i) {
				t.Errorf("size of %q = %d, want %d", entry.Key, entry.Info.Size, i)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
	// Object names are shortened at 200 bytes of a segment, and then sort by hash.
	long := strings.Repeat("s", 190)
	longKeys := []string{long, long + "-commandUnit:x", long + "-commandUnit:y", long + "/x", long + long, long + long + "-commandUnit:x", long + long + "/x"}
	for _, key := range longKeys {
		mustPut(t, s, ID("acc", key), nil, logs.BlobInfo{})
	}
	for prefix, want := range map[string][]string{long: longKeys[:4], long + long: longKeys[4:]} {
		var got []string
		for _, entry := range list(t, s, "acc", prefix) {
			got = append(got, string(entry.Key))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
	if got := list(t, s, "nobody", ""); len(got) != 0 {
		t.Errorf("List of an unknown account = %v", got)
	}
}

func listsMany(t *testing.T, s logs.Store) {
	const n = 700
	putAll(t, s, n, func(i int) logservice.ID { return ID("acc", fmt.Sprintf("p/%04d", i)) })
	got := list(t, s, "acc", "p")
	if len(got) != n {
		t.Fatalf("%d entries, want %d", len(got), n)
	}
	for i, entry := range got {
		if want := fmt.Sprintf("p/%04d", i); string(entry.Key) != want {
			t.Fatalf("entry %d is %q, want %q", i, entry.Key, want)
		}
	}
	for range s.List(t.Context(), "acc", "p") {
		break // ending early is allowed
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	var last error
	for _, err := range s.List(ctx, "acc", "p") {
		seen++
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) || seen == n {
		t.Errorf("a cancelled listing ended after %d entries with %v", seen, last)
	}
}

func listsWhileChanging(t *testing.T, s logs.Store) {
	const n = 300
	key := func(i int) string { return fmt.Sprintf("p/%04d", i) }
	putAll(t, s, n, func(i int) logservice.ID { return ID("acc", key(i)) })
	i := 0
	for entry, err := range s.List(t.Context(), "acc", "p") {
		if err != nil {
			t.Fatal(err)
		}
		if string(entry.Key) != key(i) {
			t.Fatalf("entry %d is %q", i, entry.Key)
		}
		// A listing does not block writers, and what comes after it may be
		// deleted.
		if err := s.Delete(t.Context(), ID("acc", key(i))); err != nil {
			t.Fatal(err)
		}
		i++
	}
	if i != n {
		t.Fatalf("%d entries, want %d", i, n)
	}
	if rest := list(t, s, "acc", ""); len(rest) != 0 {
		t.Fatalf("%d entries left", len(rest))
	}
}

// injective stores a blob under each of many hostile identities. Each must
// either be rejected, or hold its own content and be listed only under its own
// account. The quick run takes all with each other that could be split in another
// way, and of the others every third pair.
func injective(t *testing.T, s logs.Store) {
	accounts := []string{"a", "b", "A", "a/b", "a%2fb", "a%2Fb", `a\b`, "a\x00b", "a\x00", "..", ".", "...", "a..", "*", "?", "[a]", "a:b", "a b", "a%00", "a%00b", "é", "e\u0301", "a\u200b", "b/c", "a.b", "-", "", "blobs", "chunks"}
	keys := []string{"b", "b/c", "c", "a/b", "a/b/c", "B", "..", "../b", "..%2fb", "%2e%2e/b", "%252e%252e/b", "b%2fc", `b\c`, `..\b`, "b\x00c", "\x00b", "b\x00", "*", "b*", "b/*", "?", "[b]", "b//c", "/b", "b/", "b:c", "b c", "b+c", "b%20c", "é", "e\u0301", "...", "b.", "b/...", "b&key=c", "b\u2028c", "", strings.Repeat("k", logservice.MaxKeyBytes)}
	held := map[logservice.ID]string{}
	plain := func(s string) bool { return strings.Trim(s, "abcAB/") == "" }
	least := 300
	if !Long() {
		least = 100
	}
	for i, account := range accounts {
		for j, key := range keys {
			sampled := (i+j)%3 == 0 || plain(account) && plain(key)
			if !sampled && !Long() {
				continue
			}
			id := ID(account, key)
			content := fmt.Sprintf("%q %q", account, key)
			err := s.Put(t.Context(), id, strings.NewReader(content), logs.BlobInfo{})
			switch {
			case err == nil:
				held[id] = content
			case !errors.Is(err, logservice.ErrInvalid):
				t.Fatalf("Put(%q): %v", id, err)
			}
		}
	}
	if len(held) < least {
		t.Fatalf("only %d identities were accepted", len(held))
	}
	for id, want := range held {
		mustHold(t, s, id, []byte(want))
	}
	for _, account := range accounts {
		var want []string
		for id := range held {
			if id.Account == account {
				want = append(want, string(id.Key))
			}
		}
		if want == nil {
			continue
		}
		slices.Sort(want)
		var got []string
		for _, entry := range list(t, s, account, "") {
			got = append(got, string(entry.Key))
		}
		if !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, want %q", account, got, want)
		}
	}
	for id := range held {
		if err := s.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		delete(held, id)
		break
	}
	for id, want := range held {
		mustHold(t, s, id, []byte(want))
	}
}
