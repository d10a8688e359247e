package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/utf16"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// plainLines reads all lines and checks the invariants of every batch.
func plainLines(t testing.TB, r io.Reader) []string {
	t.Helper()
	var got []string
	p := NewPlain(r, noon, 0, 1)
	for {
		run, err := p.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if run.First != int64(len(got))+1 || run.Gap {
			t.Fatalf("a run begins with %d after %d lines", run.First, len(got))
		}
		if len(run.Data) > frameTarget+2*maxPlainLine {
			t.Fatalf("a run of %d bytes", len(run.Data))
		}
		n := 0
		for line := range bytes.Lines(run.Data) {
			n++
			if !json.Valid(line) || !utf8.Valid(line) || line[0] != '{' || line[len(line)-1] != '\n' || bytes.ContainsRune(line, '\r') {
				t.Fatalf("not a line: %.100q", line)
			}
			got = append(got, string(line))
		}
		if int64(n) != run.Count {
			t.Fatalf("a run of %d lines says %d", n, run.Count)
		}
	}
}

func text(pos, out string) string {
	return `{"level":"info","pos":` + pos + `,"out":"` + out + `","time":"2026-01-02T12:00:00Z","args":null}` + "\n"
}

func TestUploadedLinesAndTheLinesTheyBecome(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"nothing":             {"", nil},
		"JSON lines":          {"{\"a\":1}\n{\"b\":[2]}\n", []string{"{\"a\":1}\n", "{\"b\":[2]}\n"}},
		"no last break":       {"{\"out\":1}\n{\"out\":2}", []string{"{\"out\":1}\n", "{\"out\":2}\n"}},
		"CRLF":                {"{\"out\":1}\r\n{\"b\":2}\r\n", []string{"{\"out\":1}\n", text("1", `{\"b\":2}\r\n`)}},
		"objects, not rows":   {"{}{}\n\n{\n}{}\n", []string{text("0", `{}{}\n`), text("1", `\n`), text("2", `{\n`), text("3", `}{}\n`)}},
		"blank among lines":   {"{\"out\":\"a\"}\n\n\n{\"out\":\"b\"}\n", []string{"{\"out\":\"a\"}\n", text("1", `\n`), text("2", `\n`), "{\"out\":\"b\"}\n"}},
		"other JSON":          {"null\n1\n\"a\"\n", []string{text("0", `null\n`), text("1", `1\n`), text("2", `\"a\"\n`)}},
		"a program's JSON":    {" {\"a\":1}\n{\"a\":1}\n{\"a\": 1}", []string{text("0", ` {\"a\":1}\n`), "{\"a\":1}\n", text("2", `{\"a\": 1}`)}},
		"UTF-16":              {"\xff\xfe{\x00}\x00\n\x00\xe9\x00", []string{"{}\n", text("1", "é")}},
		"UTF-16, big end":     {"\xfe\xff\x00a\x00\n", []string{text("0", `a\n`)}},
		"a mark before text":  {"\xef\xbb\xbfa\n", []string{text("0", "\ufeffa\\n")}},
		"white space inside":  {"{\"out\":\r 1}\n", []string{"{\"out\":1}\n"}},
		"text":                {"one\ntwo", []string{text("0", `one\n`), text("1", `two`)}},
		"both":                {"{\"a\":1}\none\n{\"b\":2}\n", []string{"{\"a\":1}\n", text("1", `one\n`), "{\"b\":2}\n"}},
		"broken JSON":         {"{\"a\":1}\n{\"b\":\n", []string{"{\"a\":1}\n", text("1", `{\"b\":\n`)}},
		"two objects a line":  {"{}{}\n", []string{text("0", `{}{}\n`)}},
		"an array":            {"[{}]\n", []string{text("0", `[{}]\n`)}},
		"blank lines of text": {"a\n\nb\n", []string{text("0", `a\n`), text("1", `\n`), text("2", `b\n`)}},
		"a byte order mark":   {"\xef\xbb\xbf{\"out\":1}\n", []string{"{\"out\":1}\n"}},
		"not UTF-8":           {"\xff\n", []string{strings.TrimSuffix(text("0", "\uFFFD\\n"), "}\n") + ",\"replaced\":1}\n"}},
	} {
		got := plainLines(t, strings.NewReader(c.in))
		if strings.Join(got, "") != strings.Join(c.want, "") {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestALongBlobIsReadInBatches(t *testing.T) {
	data := buildLog(20000)
	if got := strings.Join(plainLines(t, iotest.HalfReader(bytes.NewReader(data))), ""); got != string(data) {
		t.Error("JSON lines: not as uploaded")
	}
	var out strings.Builder
	text := strings.Repeat("x\n\n", 40_000) // lines that make about twenty batches
	for _, s := range plainLines(t, strings.NewReader(text)) {
		var l logservice.Line
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			t.Fatal(err)
		}
		out.WriteString(l.Out)
	}
	if out.String() != text {
		t.Error("text: not as uploaded")
	}
}

func TestAVeryLongRowComesInPieces(t *testing.T) {
	const size = 40 << 20
	in := io.MultiReader(strings.NewReader("{}\n"), io.LimitReader(endless{}, size), strings.NewReader("é\n{\"b\":1}\n"))
	got := plainLines(t, in)
	if got[0] != "{}\n" || got[len(got)-1] != "{\"b\":1}\n" {
		t.Fatalf("%d lines", len(got))
	}
	out, pieces := 0, got[1:len(got)-1]
	for i, s := range pieces {
		var l logservice.Line
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			t.Fatal(err)
		}
		if out += len(l.Out); l.Partial != (i < len(pieces)-1) || l.Truncated != 0 {
			t.Errorf("piece %d of %d: partial %v, truncated %d", i, len(pieces), l.Partial, l.Truncated)
		}
	}
	if out != size+len("é\n") {
		t.Errorf("%d bytes of text, want %d", out, size+len("é\n"))
	}
	// Runes are not divided, whatever the buffers.
	text := strings.Repeat("aé✓", 1<<19)
	for _, r := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text))} {
		var all strings.Builder
		for _, s := range plainLines(t, r) {
			var l logservice.Line
			if err := json.Unmarshal([]byte(s), &l); err != nil {
				t.Fatal(err)
			}
			all.WriteString(l.Out)
		}
		if all.String() != text {
			t.Errorf("%d bytes of text, want %d", all.Len(), len(text))
		}
	}
	// Long, but within the limit.
	long := `{"out":"` + strings.Repeat("y", 900<<10) + "\"}\n"
	if got := plainLines(t, strings.NewReader(long+long+"{}\n")); len(got) != 3 || got[1] != long {
		t.Errorf("%d lines", len(got))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestABlobThatBreaksOffIsAnError(t *testing.T) {
	broken := errors.New("broken")
	p := NewPlain(io.MultiReader(strings.NewReader("{}\n"), iotest.ErrReader(broken)), noon, 0, 1)
	if _, err := p.Next(); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add([]byte("{\"a\":1}\ntext\r\n\n{\"b\":"))
	f.Add([]byte("\xef\xbb\xbf{}\n{}{}\n{\"a\":\xff}"))
	f.Add([]byte(strings.Repeat("{\"a\":\n1}\n", 300)))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := plainLines(t, bytes.NewReader(data))
		rows := bytes.Count(data, []byte("\n"))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			rows++
		}
		if !utf16.Is(data) && len(got) != rows {
			t.Fatalf("%d lines of %d rows: %q", len(got), rows, data)
		}
		if again := plainLines(t, iotest.OneByteReader(bytes.NewReader(data))); len(again) > len(data) {
			t.Fatal("more lines than bytes")
		}
	})
}
