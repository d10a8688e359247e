package lines

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

var lenient = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

var seeds = []string{
	`[]`, ` null `, `[{}]`, `[{"a":1},{"b":"x\n\u00e9\\"}]`, "[ {\"a\" : [1 , {\"b\":null}]}\n,\r\n{} ]",
	`[{"level":"info","pos":0,"out":"text\n","time":"2026-01-02T15:04:05Z","args":null}]`,
	"[{\"a\":\"\xff\xfe\"}]", `[{"a":"\ud800\udc00\ud800"}]`, `[{"a":-0.5E+10}]`, `[{"a":01}]`, `[{"a":"\q"}]`, `[[[]]]`, `[{"a":"12345678901234567890"}`,
	"{\"a\":1}\n{\"b\":2}\n", `{}{}`, "{\"a\":\n1}", "[{\"a\":\"\x00\"}]", "[{\"a\":\"\x7f\u2028\"}]", `[{"":""}]`, `[{"a":tru}]`, `{"a":1}]`,
	`[{"out":"` + strings.Repeat("x", 200) + `\n"},{"out":"` + strings.Repeat(`\ud83d\ude00é`, 30) + `","args":{"a":[{}]}}]`,
}

// reference reads values with jsontext. It returns false if the body is
// rejected by jsontext, or because a line must be an object.
func reference(body []byte, array bool) (lines [][]byte, ok bool) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	d := jsontext.NewDecoder(bytes.NewReader(body), lenient...)
	if array {
		t, err := d.ReadToken()
		if err != nil || (t.Kind() != '[' && t.Kind() != 'n') {
			return nil, false
		}
		if t.Kind() == 'n' {
			_, err := d.ReadToken()
			return nil, errors.Is(err, io.EOF)
		}
	}
	for !array || d.PeekKind() != ']' {
		v, err := d.ReadValue()
		if !array && errors.Is(err, io.EOF) {
			return lines, true
		}
		if err != nil || v.Kind() != '{' {
			return nil, false
		}
		v = v.Clone()
		// What readers are promised: valid UTF-8, compacted where the line
		// contained line breaks. Compared in canonical white space.
		if err := v.Compact(lenient...); err != nil {
			return nil, false
		}
		lines = append(lines, appendValid(nil, v))
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	_, err := d.ReadToken()
	return lines, errors.Is(err, io.EOF)
}

func deeperThanLimit(body []byte) bool {
	return bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) > MaxDepth
}

func checkAgainstReference(t *testing.T, body []byte, array bool) {
	if deeperThanLimit(body) {
		return
	}
	want, ok := reference(body, array)
	parse := NDJSON
	if array {
		parse = Array
	}
	got, err := parse(bytes.Clone(body), noLimit)
	if (err == nil) != ok {
		t.Fatalf("%q: jsontext accepts: %v, we say %v", body, ok, err)
	}
	if !ok {
		return
	}
	if got.Count != int64(len(want)) || int64(bytes.Count(got.Data, []byte("\n"))) != got.Count || bytes.IndexByte(got.Data, '\r') >= 0 {
		t.Fatalf("%q: %d lines as %q, want %d", body, got.Count, got.Data, len(want))
	}
	i := 0
	for line := range bytes.Lines(got.Data) {
		mendSurrogates(want[i])
		v := jsontext.Value(bytes.Clone(line[:len(line)-1]))
		if err := v.Compact(lenient...); err != nil || !bytes.Equal(v, want[i]) {
			t.Fatalf("%q: line %d is %q, want %q (%v)", body, i, line, want[i], err)
		}
		i++
	}
}

func FuzzArrayAgreesWithJsontext(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkAgainstReference(t, body, true) })
}

func FuzzNDJSONAgreesWithJsontext(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkAgainstReference(t, body, false) })
}

// FuzzCut checks that cut lines are valid objects within the limit, for any
// line, and that text becomes valid lines.
func FuzzCut(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), 100)
	}
	f.Fuzz(func(t *testing.T, body []byte, limit int) {
		limit = min(max(limit, 64), 4096)
		text, err := Text(body, TextOptions{Time: time.Unix(0, 0), MaxLine: max(limit, 1024), MaxBytes: noLimit})
		if err != nil {
			t.Fatal(err)
		}
		checkCut(t, text.Data, max(limit, 1024))
		if whole, err := Text(body, TextOptions{MaxLine: noLimit, MaxBytes: noLimit}); err != nil || int64(len(whole.Data)) > TextSize(body, TextOptions{}) {
			t.Fatalf("%d bytes of lines, more than foreseen, or %v", len(whole.Data), err)
		}
		got, err := Array(bytes.Clone(body), limit)
		if err == nil {
			checkCut(t, got.Data, max(limit, 1024)) // level, pos and time may take 768
		}
	})
}

func checkCut(t *testing.T, data []byte, limit int) {
	for line := range bytes.Lines(data) {
		v := jsontext.Value(line[:len(line)-1])
		if !v.IsValid(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) || v.Kind() != '{' || len(v) > limit {
			t.Fatalf("not a line of at most %d bytes: %q", limit, line)
		}
	}
}
