package redis

import (
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
