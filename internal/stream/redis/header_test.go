package redis

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAHeaderIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<53)
		want := header{
			kind:  rapid.SampledFrom([]byte{kindStart, kindLines, kindGap, kindEnd}).Draw(t, "kind"),
			lines: rapid.Int64Range(0, 1<<32-1).Draw(t, "lines"), span: rapid.Int64Range(0, 1<<32-1).Draw(t, "span"),
			bytes: n.Draw(t, "bytes"), cost: n.Draw(t, "cost"), clock: n.Draw(t, "clock"),
			sum: rapid.Uint64().Draw(t, "sum"), node: rapid.String().Draw(t, "node"),
		}
		if got, ok := parseHeader(want.text()); !ok || got != want {
			t.Errorf("%+v is read as %+v, %v", want, got, ok)
		}
		if _, ok := parseHeader(want.text()[:rapid.IntRange(0, headerSize-1).Draw(t, "cut")]); ok {
			t.Error("a header that is cut is read")
		}
	})
}

func TestRecentAppendsAreReadAsTheyWereWritten(t *testing.T) {
	var all []recent
	for i := range int64(maxRecent + 3) {
		all = append(all, recent{uint64(i) << 56, i << 40, i + 1})
	}
	got := parseRecents(recentsText(all))
	if len(got) != maxRecent || got[0] != all[3] || got[maxRecent-1] != all[len(all)-1] {
		t.Errorf("%v is read as %v", all, got)
	}
	for _, damaged := range []string{"", "x", strings.Repeat("x", recentSize-1)} {
		if got := parseRecents(damaged); len(got) != 0 {
			t.Errorf("%q is read as %v", damaged, got)
		}
	}
}
