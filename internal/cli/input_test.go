package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestUploadsBecomeJSONLines(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text := func(pos, out string) string {
		return `{"level":"info","pos":` + pos + `,"out":` + out + `,"time":"2026-01-02T03:04:05Z","args":null}` + "\n"
	}
	array := "[" + strings.Repeat(`{"out":"x\n"},`, peekBytes/10) + `{"out":"y\n"}]`
	pack := func(in string, w func(io.Writer) io.WriteCloser) string {
		var b bytes.Buffer
		z := w(&b)
		_, err := io.WriteString(z, in)
		if err = errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	pieces := func(in string) (all string) {
		n := 0
		for len(in) > maxTextLine {
			all += strings.TrimSuffix(text(strconv.Itoa(n), quoted(in[:maxTextLine])), "}\n") + `,"partial":true}` + "\n"
			in, n = in[maxTextLine:], n+1
		}
		return all + text(strconv.Itoa(n), quoted(in))
	}
	gzipped := func(in string) string {
		return pack(in, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	}
	for name, tc := range map[string]struct{ kind, in, want string }{
		"JSON lines pass":           {inputAuto, "{\"out\": \"a\"}\n{\"out\":\"b\"}\n", "{\"out\": \"a\"}\n{\"out\":\"b\"}\n"},
		"array":                     {inputAuto, " [ {\"out\" : \"a\\n\"},\n {\"x\":[1,\n2]} ]\n", "{\"out\":\"a\\n\"}\n{\"x\":[1,2]}\n"},
		"empty array":               {inputAuto, "[]", ""},
		"nothing":                   {inputAuto, "", ""},
		"text":                      {inputAuto, "one\ntwo", text("0", `"one\n"`) + text("1", `"two"`)},
		"text in brackets":          {inputAuto, "[INFO] go\n", text("0", `"[INFO] go\n"`)},
		"text with a brace":         {inputAuto, "{\n}\n", text("0", `"{\n"`) + text("1", `"}\n"`)},
		"text that is not UTF-8":    {inputAuto, "not all \xff of it\n", strings.TrimSuffix(text("0", "\"not all \uFFFD of it\\n\""), "}\n") + ",\"replaced\":1}\n"},
		"empty lines":               {inputAuto, "\n\n", text("0", `"\n"`) + text("1", `"\n"`)},
		"an array, and text":        {inputAuto, "[]\nBuild ok\n", text("0", `"[]\n"`) + text("1", `"Build ok\n"`)},
		"an array of numbers":       {inputAuto, "[1]\n", text("0", `"[1]\n"`)},
		"a bracket":                 {inputAuto, "[\n", text("0", `"[\n"`)},
		"objects, and text":         {inputAuto, "[{\"a\":1}] ok\n", text("0", `"[{\"a\":1}] ok\n"`)},
		"a long array":              {inputAuto, array, strings.ReplaceAll(array[1:len(array)-1], "},{", "}\n{") + "\n"},
		"a long array, and text":    {inputAuto, array + "\nBuild ok", pieces(array+"\n") + text("1", `"Build ok"`)},
		"null":                      {inputAuto, "null\n", text("0", `"null\n"`)},
		"a mark before an array":    {inputAuto, "\ufeff[{}]", "{}\n"},
		"a mark before JSON lines":  {inputAuto, "\ufeff{}\n", "\ufeff{}\n"},
		"a mark before text":        {inputAuto, "\ufeffa\n", text("0", "\"\ufeffa\\n\"")},
		"gzip":                      {inputAuto, gzipped("one\ntwo"), text("0", `"one\n"`) + text("1", `"two"`)},
		"gzip of JSON lines":        {inputAuto, gzipped("{\"a\": 1}\n"), "{\"a\": 1}\n"},
		"gzip, said to be text":     {inputText, gzipped("{}\n"), text("0", `"{}\n"`)},
		"two gzip files":            {inputAuto, gzipped("a\n") + gzipped("b\n"), text("0", `"a\n"`) + text("1", `"b\n"`)},
		"zstd":                      {inputAuto, pack("a\n", func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }), text("0", `"a\n"`)},
		"UTF-16, little end first":  {inputAuto, "\xff\xfea\x00\xe9\x00\r\x00\n\x00", text("0", `"aé\r\n"`)},
		"UTF-16, big end first":     {inputAuto, "\xfe\xff\x00a\x00\n", text("0", `"a\n"`)},
		"raw":                       {inputRaw, "\x00\xff[", "\x00\xff["},
		"JSON lines, said to be":    {inputJSON, "{\"out\": \"a\"}\r\n\n{\"out\":\"b\"}", "{\"out\": \"a\"}\n{\"out\":\"b\"}\n"},
		"JSON over several lines":   {inputJSON, "{\n \"out\":\n \"a\"\n}\n{}\n", "{\"out\":\"a\"}\n{}\n"},
		"no JSON at all":            {inputJSON, "", ""},
		"JSON lines, taken as text": {inputText, "{}\n", text("0", `"{}\n"`)},
	} {
		for _, r := range []io.Reader{strings.NewReader(tc.in), iotest.OneByteReader(strings.NewReader(tc.in))} {
			in := newInput(r, tc.kind, now)
			got, err := io.ReadAll(in)
			if err = errors.Join(err, in.Close()); err != nil || string(got) != tc.want {
				t.Errorf("%s: got %.300q, %v; want %.300q", name, got, err, tc.want)
			}
		}
	}
}

func TestMalformedJSONEndsAnUploadWithAnError(t *testing.T) {
	for _, in := range []string{`[{"out":"a"},`, `[{"out":"a"} x`, `[{"out":"a"}, 1]`, `[{"out":"a"}] more`, `[{"a":"` + strings.Repeat("x", 2*peekBytes)} {
		_, err := io.ReadAll(newInput(strings.NewReader(in), inputJSON, time.Now()))
		var u *usage
		if !errors.As(err, &u) {
			t.Errorf("%.20s: error %v, want one that blames the input", in, err)
		}
	}
	for _, in := range []string{`[{"out":"a"},`, `[{"out":`, `[{"out":"a"}`, `[{"out":"a"},` + strings.Repeat(`{"out":"a"},`, peekBytes)} {
		source := newInput(strings.NewReader(in), inputAuto, time.Now())
		_, err := io.ReadAll(source)
		var u *usage
		if !errors.As(err, &u) || source.Close() != nil {
			t.Errorf("%.20s breaks off: error %v, want one that blames the input", in, err)
		}
	}
	for _, in := range []string{"{\"out\":\"a\"}\n{\"out\":", "{\"out\":\"a\"}\nplain text\n", "1\n", "{} []", "plain"} {
		_, err := io.ReadAll(newInput(strings.NewReader(in), inputJSON, time.Now()))
		var u *usage
		if !errors.As(err, &u) {
			t.Errorf("%q, said to be JSON: error %v, want one that blames the input", in, err)
		}
	}
	broken := iotest.ErrReader(errors.New("disk on fire"))
	for kind, in := range map[string]string{inputAuto: "a\n", inputJSON: "{}\n"} {
		if _, err := io.ReadAll(newInput(io.MultiReader(strings.NewReader(in), broken), kind, time.Now())); err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Errorf("%s: an input that breaks off: error %v", kind, err)
		}
	}
}

func quoted(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(q)
}

func TestWhatIsNoTextIsRefusedOrCounted(t *testing.T) {
	for name, in := range map[string]string{
		"a NUL": "abc\x00def\n", "no UTF-8": "\xe9\xe8\xe7\xe6\n", "half a gzip file": "\x1f\x8b\x08\x00", "gzip of that": "\x1f\x8b\x08text", "an image": "\x89PNG\r\n\x1a\n\x00\x00",
	} {
		if _, err := io.ReadAll(newInput(strings.NewReader(in), inputAuto, time.Now())); err == nil {
			t.Errorf("%s was taken for text", name)
		}
		if got, err := io.ReadAll(newInput(strings.NewReader(in), inputRaw, time.Now())); string(got) != in || err != nil {
			t.Errorf("%s: raw it became %q, %v", name, got, err)
		}
	}
	in := newInput(strings.NewReader("caf\xe9 au lait\nfine ✓\nna\xefve\n"), inputAuto, time.Now())
	if _, err := io.ReadAll(in); err != nil || in.replaced != 2 {
		t.Errorf("%d bytes were counted, error %v", in.replaced, err)
	}
}

func TestALongLineOfTextIsKeptInParts(t *testing.T) {
	in := strings.Repeat("aé", maxTextLine) + "\nend\n"
	dec := json.NewDecoder(newInput(strings.NewReader(in), inputAuto, time.Now()))
	var b strings.Builder
	n := 0
	for {
		var line struct{ Out string }
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(line.Out) > maxTextLine+peekBytes {
			t.Errorf("a line of %d bytes", len(line.Out))
		}
		b.WriteString(line.Out)
		n++
	}
	if b.String() != in || n < 3 {
		t.Errorf("%d lines, not the text that went in", n)
	}
}
