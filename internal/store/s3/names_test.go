package s3

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	logservice "github.com/harness/log-service"
)

// keys draws keys with significant bytes, some of them too long.
func keys() *rapid.Generator[string] {
	segment := rapid.StringOfN(rapid.RuneFrom([]rune{'a', 'b', '!', ' ', ']', '[', '\\', '.', '-', '~', '0', '1', 'é', '\u00a0', '\U0001F600'}), 1, -1, 240)
	return rapid.Map(rapid.SliceOfN(segment, 1, 6), func(s []string) string { return strings.Join(s, "/") }).
		Filter(func(s string) bool { _, err := logservice.ParseKey(s); return err == nil })
}

func TestNamesAreInjectiveAndSortLikeTheKeys(t *testing.T) {
	n := names{prefix: "logs/"}
	folder := n.account("acc")
	rapid.Check(t, func(t *rapid.T) {
		a, b := keys().Draw(t, "a"), keys().Draw(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b = a[:len(a)/2] + b
			if _, err := logservice.ParseKey(b); err != nil {
				t.Skip()
			}
		}
		attempts := rapid.OneOf(rapid.Int64Range(1, 12), rapid.Just[int64](maxAttempt))
		attempt, otherAttempt := attempts.Draw(t, "attempt"), attempts.Draw(t, "attempt of b")
		name, cut := n.of(logservice.ID{Account: "acc", Key: logservice.Key(a)}, attempt)
		other, otherCut := n.of(logservice.ID{Account: "acc", Key: logservice.Key(b)}, otherAttempt)
		if (a == b && attempt == otherAttempt) != (name == other) {
			t.Fatalf("%q and %q have the names %q and %q", a, b, name, other)
		}
		if a != b && !cut && !otherCut && strings.Compare(a, b) != strings.Compare(name, other) {
			t.Errorf("%q and %q sort otherwise than their names %q and %q", a, b, name, other)
		}
		if strings.HasPrefix(other, name+"/") {
			t.Errorf("%q is a folder of %q", name, other)
		}
		back, ok := parse(folder, name)
		if !ok || back.attempt != attempt || cut && back.key != "" || !cut && string(back.key) != a {
			t.Errorf("%q reads back as %+v, %v", name, back, ok)
		}
		if stem, _ := n.stem(logservice.ID{Account: "acc", Key: logservice.Key(b)}); (a == b) != strings.HasPrefix(name, stem) {
			t.Errorf("%q and the stem %q", name, stem)
		}
		if _, ok := parse(folder, indexOf(name)); ok {
			t.Errorf("the index of %q passes for a log", name)
		}
		for segment := range strings.SplitSeq(name, "/") {
			if len(segment) > 255 || segment == "." || segment == ".." || segment == "" {
				t.Errorf("a segment of %q has %d bytes", name, len(segment))
			}
		}
		if len(name) > 1024 || len(indexOf(name)) > 1024 {
			t.Errorf("a name of %d bytes", len(name))
		}
		// A listing of any start of its key finds it, among them of each parent.
		for i := range a {
			if start := n.starting("acc", a[:i]); !strings.HasPrefix(name, start) {
				t.Errorf("a listing of %q, which is %q, misses %q", a[:i], start, name)
			}
		}
	})
}

func TestAccountsHaveFoldersOfTheirOwn(t *testing.T) {
	n := names{}
	long := strings.Repeat("é", logservice.MaxAccountBytes/2)
	accounts := []string{"a", "a!", "a ", "a!0", "a!1", `a\`, "a]!-", "a]", "A", long, long[:len(long)-2], long[:len(long)-2] + "e"}
	var folders []string
	for _, a := range accounts {
		f := n.account(a)
		if slices.Contains(folders, f) || strings.Count(f, "/") != 1 || len(f) > 255 {
			t.Errorf("account %q has the folder %q", a, f)
		}
		folders = append(folders, f)
	}
}

func TestForeignObjectsAreNotTakenForLogs(t *testing.T) {
	for _, name := range []string{"acc/", "acc/a", "acc/!.log", "acc/a!2!.log", "acc/a b!.log", "acc//a!.log", "acc/a/../b!.log", "acc/a!~12.log", "acc2/a!.log", "acc/a!.index", "acc/a!.1.log", "acc/a!.02.log", "acc/a!.-2.log", "acc/a!.4294967296.log", "acc/a!.2!.index", "acc/a!.2.log/b"} {
		if e, ok := parse("acc/", name); ok {
			t.Errorf("%q is taken for %+v", name, e)
		}
	}
}
