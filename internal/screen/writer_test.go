package screen

import (
	"bytes"
	"strings"
	"testing"
)

func clean(t testing.TB, colours bool, chunks ...string) string {
	t.Helper()
	var b bytes.Buffer
	f := NewWriter(&b, colours)
	for _, c := range chunks {
		if n, err := f.Write([]byte(c)); n != len(c) || err != nil {
			t.Fatalf("Write(%q) is %d, %v", c, n, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOnlyColoursReachTheTerminal(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"plain text":           {"a\tb\n", "a\tb\n"},
		"other scripts":        {"grüße 日本 👩‍👩‍👧\n", "grüße 日本 👩‍👩‍👧\n"},
		"colour":               {"\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[0m\n"},
		"256 and true colour":  {"\x1b[38;5;8mx\x1b[48;2;8;8;8my\x1b[38:5:8mz\x1b[m", "\x1b[38;5;8mx\x1b[48;2;8;8;8my\x1b[38:5:8mz\x1b[0m"},
		"colour left on":       {"\x1b[1;32mok", "\x1b[1;32mok\x1b[0m"},
		"concealed":            {"\x1b[8mhidden\x1b[1;08mx", "hiddenx"},
		"private SGR":          {"\x1b[>4;2mx\x1b[?1mx", "xx"},
		"erase, move":          {"a\x1b[2J\x1b[H\x1b[1Ab", "ab"},
		"window title":         {"a\x1b]0;pwned\x07b", "ab"},
		"clipboard":            {"a\x1b]52;c;cm0gLXJm\x1b\\b", "ab"},
		"link":                 {"\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
		"DCS, SOS, PM, APC":    {"a\x1bPq#0\x1b\\b\x1bXx\x1b\\c\x1b^x\x1b\\d\x1b_x\x1b\\e", "abcde"},
		"8-bit CSI":            {"a\u009b2Jb", "ab"},
		"8-bit OSC, 8-bit ST":  {"a\u009d0;x\u009cb", "ab"},
		"raw 8-bit byte":       {"a\x9b2J", "a\uFFFD2J"},
		"reset of terminal":    {"a\x1bcb", "ab"},
		"character set":        {"a\x1b(0b", "ab"},
		"unclosed OSC":         {"a\x1b]0;never closed\nnext\n", "a\nnext\n"},
		"unclosed CSI":         {"a\x1b[12\nnext\n", "a\nnext\n"},
		"escape in escape":     {"\x1b\x1b[31mx\x1b[0m", "\x1b[31mx\x1b[0m"},
		"escape ends a string": {"\x1b]0;x\x1b[2Jy", "y"},
		"progress":             {"1%\r20%\r100%\n\r", "100%\n"},
		"erased progress":      {"working\r\x1b[Kdone\nworking\x1b[2K\x1b[1Gdone\nworking\x1b[2K\n", "done\ndone\n\n"},
		"colored progress":     {"\x1b[32m1%\r100%\x1b[0m\n", "\x1b[32m100%\x1b[0m\n"},
		"colour over rows":     {"\x1b[31ma\nb\n\nc\x1b[0m\nd\n", "\x1b[31ma\x1b[0m\n\x1b[31mb\x1b[0m\n\n\x1b[31mc\x1b[0m\nd\n"},
		"one off":              {"\x1b[1;31ma\x1b[39mb\x1b[22mc", "\x1b[1;31ma\x1b[0m\x1b[1mb\x1b[0mc"},
		"another colour":       {"\x1b[31ma\x1b[32mb\x1b[0;33mc\n", "\x1b[31ma\x1b[32mb\x1b[33mc\x1b[0m\n"},
		"byte order mark":      {"\ufeffa\n", "a\n"},
		"nothing in colour":    {"\x1b[31m\x1b[0m\n\x1b[31m", "\n"},
		"half a colour":        {"\x1b[38;5mx\x1b[38mx\x1b[48;2;1mx\x1b[38;5;1:m", "xxx"},
		"Windows line break":   {"a\r\nb\r\r\n", "a\nb\n"},
		"bell and backspace":   {"a\x07\x08\x7f\x00b", "ab"},
		"bidi":                 {"a\u202eb\u2066c\u200fd", "abcd"},
		"line separators":      {"a\u2028b\u2029c", "a b c"},
		"endless sequence":     {"\x1b[" + strings.Repeat("1;", 100) + "mx", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := clean(t, true, tc.in); got != tc.want {
				t.Errorf("%q became %q, want %q", tc.in, got, tc.want)
			}
			// The result does not depend on how the text is split.
			if got := clean(t, true, strings.Split(tc.in, "")...); got != tc.want {
				t.Errorf("%q rune by rune became %q, want %q", tc.in, got, tc.want)
			}
			bytewise := make([]string, len(tc.in))
			for i := range len(tc.in) {
				bytewise[i] = tc.in[i : i+1]
			}
			if got := clean(t, true, bytewise...); got != tc.want {
				t.Errorf("%q byte by byte became %q, want %q", tc.in, got, tc.want)
			}
		})
	}
	if got := clean(t, false, "\x1b[31mred\x1b[0m\n"); got != "red\n" {
		t.Errorf("with colours off: %q", got)
	}
}

func FuzzOnlyColoursReachTheTerminal(f *testing.F) {
	f.Add("\x1b[31m\x1b]0;x\x07\r\n\u009b2J\u202e")
	f.Fuzz(func(t *testing.T, in string) {
		out := clean(t, true, in)
		for i, r := range out {
			if r == 0x1b {
				rest := out[i+1:]
				m := strings.IndexByte(rest, 'm')
				if m < 1 || rest[0] != '[' || strings.Trim(rest[1:m], "0123456789;:") != "" {
					t.Fatalf("%q lets %q through", in, out)
				}
			} else if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r <= 0x9f || reorders(r) {
				t.Fatalf("%q lets %U through", in, r)
			}
		}
		half := len(in) / 2
		if cut := clean(t, true, in[:half], in[half:]); cut != out {
			t.Fatalf("%q cut in two became %q, not %q", in, cut, out)
		}
	})
}
