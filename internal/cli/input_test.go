package cli

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestUploadsBecomeJSONLines(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text := func(pos, out string) string {
		return `{"level":"info","pos":` + pos + `,"out":` + out + `,"time":"2026-01-02T03:04:05Z","args":null}` + "\n"
	}
	for name, tc := range map[string]struct{ kind, in, want string }{
		"JSON lines pass":           {inputAuto, "{\"out\": \"a\"}\n{\"out\":\"b\"}\n", "{\"out\": \"a\"}\n{\"out\":\"b\"}\n"},
		"array":                     {inputAuto, " [ {\"out\" : \"a\\n\"},\n {\"x\":[1,\n2]} ]\n", "{\"out\":\"a\\n\"}\n{\"x\":[1,2]}\n"},
		"empty array":               {inputAuto, "[]", ""},
		"nothing":                   {inputAuto, "", ""},
		"text":                      {inputAuto, "one\ntwo", text("0", `"one\n"`) + text("1", `"two"`)},
		"text in brackets":          {inputAuto, "[INFO] go\n", text("0", `"[INFO] go\n"`)},
		"text with a brace":         {inputAuto, "{\n}\n", text("0", `"{\n"`) + text("1", `"}\n"`)},
		"text that is not UTF-8":    {inputAuto, "a\xffb\n", text("0", "\"a\uFFFDb\\n\"")},
		"empty lines":               {inputAuto, "\n\n", text("0", `"\n"`) + text("1", `"\n"`)},
		"JSON lines, said to be":    {inputJSON, "{\"out\": \"a\"}\r\n\n{\"out\":\"b\"}", "{\"out\": \"a\"}\n{\"out\":\"b\"}\n"},
		"JSON over several lines":   {inputJSON, "{\n \"out\":\n \"a\"\n}\n{}\n", "{\"out\":\"a\"}\n{}\n"},
		"no JSON at all":            {inputJSON, "", ""},
		"JSON lines, taken as text": {inputText, "{}\n", text("0", `"{}\n"`)},
	} {
		for _, r := range []io.Reader{strings.NewReader(tc.in), iotest.OneByteReader(strings.NewReader(tc.in))} {
			got, err := io.ReadAll(jsonLines(r, tc.kind, now))
			if err != nil || string(got) != tc.want {
				t.Errorf("%s: got %q, %v; want %q", name, got, err, tc.want)
			}
		}
	}
}

func TestMalformedJSONEndsAnUploadWithAnError(t *testing.T) {
	for _, in := range []string{`[{"out":"a"},`, `[{"out":"a"} x`, `[{"out":"a"}, 1]`, `[{"out":"a"}] more`, `[{"a":"` + strings.Repeat("x", 2*peekBytes)} {
		_, err := io.ReadAll(jsonLines(strings.NewReader(in), inputAuto, time.Now()))
		var u *usage
		if !errors.As(err, &u) {
			t.Errorf("%.20s: error %v, want one that blames the input", in, err)
		}
	}
	for _, in := range []string{"{\"out\":\"a\"}\n{\"out\":", "{\"out\":\"a\"}\nplain text\n", "1\n", "{} []", "plain"} {
		_, err := io.ReadAll(jsonLines(strings.NewReader(in), inputJSON, time.Now()))
		var u *usage
		if !errors.As(err, &u) {
			t.Errorf("%q, said to be JSON: error %v, want one that blames the input", in, err)
		}
	}
	broken := iotest.ErrReader(errors.New("disk on fire"))
	for kind, in := range map[string]string{inputAuto: "a\n", inputJSON: "{}\n"} {
		if _, err := io.ReadAll(jsonLines(io.MultiReader(strings.NewReader(in), broken), kind, time.Now())); err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Errorf("%s: an input that breaks off: error %v", kind, err)
		}
	}
}

func TestALongLineOfTextIsKeptInParts(t *testing.T) {
	in := strings.Repeat("aé", maxTextLine) + "\nend\n"
	dec := json.NewDecoder(jsonLines(strings.NewReader(in), inputAuto, time.Now()))
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
