package client

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

// masked feeds the pieces to a masker of the secrets.
func masked(hide []string, pieces ...string) string {
	m := masker{secrets: newSecrets(hide)}
	if m.secrets == nil {
		return strings.Join(pieces, "")
	}
	var out strings.Builder
	for i, p := range pieces {
		out.Write(m.feed([]byte(p), i == len(pieces)-1))
	}
	return out.String()
}

func TestSecretsAreReplaced(t *testing.T) {
	const key = "-----BEGIN KEY-----\nMIIEow\nab\n-----END KEY-----"
	basic := func(user string) string { return base64.StdEncoding.EncodeToString([]byte(user + ":s3cr3t/pass?&ü")) }
	for name, c := range map[string]struct {
		secrets    []string
		text, want string
	}{
		"alone":             {[]string{"hunter2"}, "a hunter2 b\n", "a *** b\n"},
		"several":           {[]string{"hunter2", "open sesame"}, "hunter2open sesame, hunter2\n", "***, ***\n"},
		"overlapping":       {[]string{"abcd", "cdef"}, "xabcdefx", "x***x"},
		"one in another":    {[]string{"pass", "password1"}, "password1 password2", "*** ***word2"},
		"with a line break": {[]string{"hunter2\n"}, "hunter2\n", "***\n"},
		"blank":             {[]string{"", " \n"}, "a b \n", "a b \n"},
		"several lines":     {[]string{key}, "x\n" + key + "\ny\n", "x\n***\n***\n***\n***\ny\n"},
		"CR and LF":         {[]string{key}, strings.ReplaceAll(key, "\n", "\r\n"), "***\r\n***\r\n***\r\n***"},
		"one of its lines":  {[]string{key}, "log: MIIEow! ab\n", "log: ***! ab\n"},
		"indented":          {[]string{key}, "  MIIEow\n", "  ***\n"},
		"JSON":              {[]string{key}, strings.Trim(quoted(key), `"`), "***"},
		"base64":            {[]string{"hunter2"}, base64.StdEncoding.EncodeToString([]byte("hunter2")), "***"},
		"with its newline":  {[]string{"hunter2"}, base64.StdEncoding.EncodeToString([]byte("hunter2\n")), "***"},
		"base64 of a file": {[]string{strings.Repeat("long secret ", 20)},
			wrapped(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("long secret ", 20))), 76) + "\n", strings.Repeat("***\n", 5)},
		"a query":                   {[]string{"p@ss/w rd+"}, "?a=" + url.QueryEscape("p@ss/w rd+") + "&b", "?a=***&b"},
		"a path":                    {[]string{"p@ss/w rd"}, "/" + url.PathEscape("p@ss/w rd") + "/b", "/***/b"},
		"a user":                    {[]string{"p@ss/w!rd"}, url.UserPassword("u", "p@ss/w!rd").String() + "@", "u:***@"},
		"a component of JavaScript": {[]string{"p@s (w)!'*"}, "=p%40s%20(w)!'*;", "=***;"},
		"digits in lower case":      {[]string{"p@ss/word"}, "p%40ss%2fword", "***"},
	} {
		// However the text is cut, and also one byte at a time.
		for cut := range len(c.text) + 1 {
			if got := masked(c.secrets, c.text[:cut], c.text[cut:]); got != c.want {
				t.Errorf("%s, cut at %d: %q, want %q", name, cut, got, c.want)
				break
			}
		}
		if got := masked(c.secrets, strings.Split(c.text, "")...); got != c.want {
			t.Errorf("%s, byte by byte: %q, want %q", name, got, c.want)
		}
	}
	// Wherever base64 has the secret, nothing readable remains.
	for n := range 9 {
		out := masked([]string{"s3cr3t/pass?&ü"}, "Authorization: Basic "+basic(strings.Repeat("u", n)))
		_, rest, ok := strings.Cut(out, "***")
		if !ok || len(rest) > 4 {
			t.Errorf("a user of %d letters: %q", n, out)
		}
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestMaskingDoesNotDependOnWhereTextIsCut(t *testing.T) {
	letters := "ab\n"
	random := func(most int) string {
		b := make([]byte, 1+rand.IntN(most))
		for i := range b {
			b[i] = letters[rand.IntN(len(letters))]
		}
		return string(b)
	}
	for range 5000 {
		hide := []string{random(3), random(5), random(7)}
		text := random(40)
		var pieces []string
		for rest := text; rest != ""; {
			n := 1 + rand.IntN(len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		whole, cut := masked(hide, text), masked(hide, pieces...)
		if whole != cut || strings.Count(whole, "\n") != strings.Count(text, "\n") {
			t.Fatalf("%q of %q: %q, in pieces %q %q", hide, text, whole, pieces, cut)
		}
		for _, s := range hide {
			if s = strings.Trim(s, "\n"); s != "" && strings.Contains(whole, s) {
				t.Fatalf("%q of %q: %q", s, text, whole)
			}
		}
	}
}

func TestAWriterSendsNoSecret(t *testing.T) {
	writerTo(t, nil, []WriterOption{Mask("hunter2"), Mask("line one\nline two")}, func(t *testing.T, w *Writer, m *memoryLog) {
		stderr := w.Stream()
		for _, s := range []string{"a hun", "ter2\n", "line o", "ne\nline two\n", "the end is hunter"} {
			io.WriteString(w, s)
			io.WriteString(stderr, ".")
		}
		_ = w.WriteLine(logservice.Line{Out: "with hunter2\n", Args: map[string]string{"password": "hunter2"}})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got := m.texts()
		slices.Sort(got)
		want := []string{"***\n", "***\n", ".....", "a ***\n", "the end is hunter", "with ***\n"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if all := fmt.Sprint(m.puts); strings.Contains(all, "hunter2") {
			t.Error(all)
		}
	})
}

func BenchmarkMask(b *testing.B) {
	var hide []string
	for n := range 20 {
		hide = append(hide, fmt.Sprintf("secret-%d-%d", n, rand.Uint64()))
	}
	m := masker{secrets: newSecrets(hide)}
	text := []byte(strings.Repeat("compiling package some/thing/secretly\n", 100))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		m.feed(text, false)
	}
}
