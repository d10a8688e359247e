package screen

import (
	"bytes"
	"strings"
	"testing"
)

func TestWhatIsSeenOfALine(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"\n":                        "",
		"ok\n":                      "ok",
		"ok\r\n":                    "ok",
		"ok":                        "ok",
		"\x1b[31mred\x1b[0m text\n": "red text",
		"1%\r50%\r100%":             "100%",
		"1%\r50%\r\n":               "50%",
		"two\nrows\n":               "two\nrows",
		"a\n\n":                     "a\n",
		"a\tb\xff\n":                "a\tb\uFFFD",
		"open \x1b]0;title\n":       "open ",
	} {
		if got := string(Plain(nil, []byte(in))); got != want {
			t.Errorf("%q is seen as %q, want %q", in, got, want)
		}
	}
}

func TestColorsGoOnInTheNextLineUnlessForgotten(t *testing.T) {
	r := Row{Colors: true}
	show := func(text, want string) {
		t.Helper()
		if got := string(r.Append([]byte("> "), []byte(text))); got != "> "+want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	show("\x1b[31mred\n", "\x1b[31mred\x1b[0m")
	show("still red\n", "\x1b[31mstill red\x1b[0m")
	show("\n", "")
	r.Forget()
	show("plain\n", "plain")
}

// FuzzARowIsRenderedOnce checks that what is seen has nothing left to remove, and
// that lines are rendered alike alone and as part of a text.
func FuzzARowIsRenderedOnce(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m\r\n1%\r2%"))
	f.Add([]byte("\x1b[2K\x1b[1G\u009b31m\xff\n\x1b]0;x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		seen := Plain(nil, text)
		if again := Plain(nil, append(seen[:len(seen):len(seen)], '\n')); !bytes.Equal(again, seen) {
			t.Fatalf("%q is seen as %q, and that as %q", text, seen, again)
		}
		whole := Row{Colors: true}
		want := string(whole.Append(nil, text))
		byLine := Row{Colors: true}
		var got []string
		for line := range bytes.Lines(text) {
			got = append(got, string(byLine.Append(nil, line)))
		}
		if joined := strings.Join(got, "\n"); joined != want {
			t.Fatalf("%q line by line is %q, want %q", text, joined, want)
		}
		var plain Row
		if uncolored := string(plain.Append(nil, []byte(want+"\n"))); uncolored != string(seen) {
			t.Fatalf("%q in color is %q, seen as %q; without %q", text, want, uncolored, seen)
		}
	})
}
