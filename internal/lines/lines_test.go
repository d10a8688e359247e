package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/harness/log-service/internal/logs"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

const noLimit = 1 << 30

func TestAnArrayBecomesLinesInTheBodyItself(t *testing.T) {
	body := []byte(`[{"pos":0,"time":1},{"pos":1,"time":1767366245123}]`)
	got, err := Array(body, noLimit)
	if err != nil {
		t.Fatal(err)
	}
	want := "{\"pos\":0,\"time\":1}\n{\"pos\":1,\"time\":1767366245123}\n"
	if string(got.Data) != want || got.Count != 2 || !got.Dedupe {
		t.Errorf("got %q, %d lines, marked %v", got.Data, got.Count, got.Dedupe)
	}
	if unsafe.SliceData(got.Data) != &body[1] {
		t.Error("the lines were moved or copied")
	}
}

func TestBodiesAndTheLinesTheyBecome(t *testing.T) {
	for _, tc := range []struct{ name, array, ndjson, want string }{
		{"nothing", `[]`, ``, ""},
		{"nothing with space", " [ \n ] ", "\n\n \r\n", ""},
		{"null", " null\n", "\n", ""},
		{"one empty line", `[{}]`, `{}`, "{}\n"},
		{"space around", " [ {\"a\":1} ,\n {\"b\":2} ] \n", "  {\"a\":1}\r\n\r\n{\"b\":2}", "{\"a\":1}\n{\"b\":2}\n"},
		{"space inside is kept", `[{"a": 1, "b" : [1, 2]}]`, `{"a": 1, "b" : [1, 2]}`, "{\"a\": 1, \"b\" : [1, 2]}\n"},
		{"breaks inside are not", "[{\n  \"a\": \"x \\\" y\",\r\n\t\"b\": {\n} }, {}]", "{\n  \"a\": \"x \\\" y\",\r\n\t\"b\": {\n} }{}", "{\"a\":\"x \\\" y\",\"b\":{}}\n{}\n"},
		{"no space between", `[{},{},{}]`, `{}{}{}`, "{}\n{}\n{}\n"},
		{"duplicates", `[{"a":1,"a":2}]`, `{"a":1,"a":2}`, "{\"a\":1,\"a\":2}\n"},
		{"every value", `[{"a":[true,false,null,-0,1.5e-3,"\u00e9\n",{},[]]}]`, `{"a":[true,false,null,-0,1.5e-3,"\u00e9\n",{},[]]}`, `{"a":[true,false,null,-0,1.5e-3,"\u00e9\n",{},[]]}` + "\n"},
		{"UTF-8", `[{"é":"日本語"}]`, `{"é":"日本語"}`, "{\"é\":\"日本語\"}\n"},
		{"not UTF-8", "[{\"a\":\"x\xffy\xc3\"},{}]", "{\"a\":\"x\xffy\xc3\"}\n{}", "{\"a\":\"x\uFFFDy\uFFFD\"}\n{}\n"},
		{"lone surrogate", `[{"a":"\ud800"}]`, `{"a":"\ud800"}`, "{\"a\":\"\\ufffd\"}\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for form, parse := range map[string]func() (logs.Lines, error){
				"array":  func() (logs.Lines, error) { return Array([]byte(tc.array), noLimit) },
				"ndjson": func() (logs.Lines, error) { return NDJSON([]byte(tc.ndjson), noLimit) },
			} {
				got, err := parse()
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				if diff := cmp.Diff(tc.want, string(got.Data)); diff != "" {
					t.Errorf("%s: %s", form, diff)
				}
				if n := int64(strings.Count(tc.want, "\n")); got.Count != n {
					t.Errorf("%s: counted %d lines, want %d", form, got.Count, n)
				}
			}
		})
	}
}

func TestBadBodiesAreRefusedWithTheByte(t *testing.T) {
	deep := strings.Repeat(`{"a":`, MaxDepth+1)
	for _, tc := range []struct{ body, want string }{
		{``, "at byte 0"},
		{`{"a":1}`, "at byte 0"},
		{`[1]`, "at byte 1"},
		{`[{"a":1},]`, "at byte 9"},
		{`[{"a":1} {"b":2}]`, "at byte 9"},
		{`[{"a":1}`, "at byte 8"},
		{`[{"a":1}] x`, "at byte 10"},
		{`[null]`, "at byte 1"},
		{`nul`, "at byte 0"},
		{`null,`, "at byte 4"},
		{`[{"a"}]`, "at byte 5"},
		{`[{"a":}]`, "at byte 6"},
		{`[{"a":01}]`, "at byte 7"},
		{`[{"a":1.}]`, "at byte 8"},
		{`[{"a":-}]`, "at byte 7"},
		{`[{"a":1e}]`, "at byte 8"},
		{`[{"a":"\x"}]`, "at byte 7"},
		{`[{"a":"\u12g4"}]`, "at byte 7"},
		{"[{\"a\":\"x\ty\"}]", "at byte 8: control character 0x09"},
		{`[{"a":"x`, "at byte 8"},
		{`[{"a":[1,]}]`, "at byte 9"},
		{`[{"a":[}]`, "at byte 7"},
		{`[{"a":1]`, "at byte 7"},
		{`[{,}]`, "at byte 2"},
		{`[{"a":1,}]`, "at byte 8"},
		{`[{a:1}]`, "at byte 2"},
		{"[" + deep, "deeper than 64"},
	} {
		_, err := Array([]byte(tc.body), noLimit)
		if !errors.Is(err, logservice.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got error %v, want one %s", tc.body, err, tc.want)
		}
	}
}

func TestALineOverTheLimitIsCutAtARuneBoundaryAndMarked(t *testing.T) {
	for _, tc := range []struct{ name, line, want string }{
		{"plain", `{"level":"info","pos":7,"out":"` + strings.Repeat("x", 100) + `\n","time":"t"}`,
			`{"level":"info","pos":7,"out":"` + strings.Repeat("x", 42) + `","time":"t","truncated":101}`},
		{"runes", `{"out":"` + strings.Repeat("é", 100) + `"}`, `{"out":"` + strings.Repeat("é", 38) + `","truncated":200}`},
		{"escapes", `{"out":"` + strings.Repeat(`\u00e9`, 100) + `"}`, `{"out":"` + strings.Repeat(`\u00e9`, 12) + `","truncated":200}`},
		{"pairs", `{"out":"` + strings.Repeat(`\ud83d\ude00`, 10) + `"}`, `{"out":"` + strings.Repeat(`\ud83d\ude00`, 6) + `","truncated":40}`},
		{"others too large", `{"level":"warn","args":{"a":"` + strings.Repeat("x", 100) + `"},"pos":1,"out":"text","time":5}`,
			`{"level":"warn","pos":1,"out":"text","time":5,"truncated":4}`},
		{"no text at all", `{"x":"` + strings.Repeat("x", 200) + `"}`, `{"truncated":208}`},
		{"out is no text", `{"out":[` + strings.Repeat("1,", 100) + `1],"pos":3}`, `{"pos":3,"truncated":219}`},
		{"truncated before", `{"truncated":5,"out":"` + strings.Repeat("x", 100) + `"}`, `{"out":"` + strings.Repeat("x", 76) + `","truncated":100}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Array([]byte("["+tc.line+",{}]"), 102)
			if err != nil {
				t.Fatal(err)
			}
			line, rest, _ := bytes.Cut(got.Data, []byte("\n"))
			if !json.Valid(line) || len(line) > 102 || string(rest) != "{}\n" || got.Count != 2 {
				t.Errorf("%d bytes, rest %q", len(line), rest)
			}
			if diff := cmp.Diff(tc.want, string(line)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTextBecomesLines(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	got, err := Text([]byte("one\n\n\"\x1b[1m\xff\r\nlast"), TextOptions{Level: "warn", Pos: 9, Time: now, MaxLine: noLimit, MaxBytes: noLimit})
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i, out := range []string{`one\n`, `\n`, `\"\u001b[1m` + "\uFFFD" + `\r\n`, `last`} {
		replaced := ""
		if strings.Contains(out, "\uFFFD") {
			replaced = `,"replaced":1`
		}
		fmt.Fprintf(&want, `{"level":"warn","pos":%d,"out":"%s","time":"2026-01-02T02:04:05.000006Z","args":null%s}`+"\n", 9+i, out, replaced)
	}
	if diff := cmp.Diff(want.String(), string(got.Data)); diff != "" || got.Count != 4 {
		t.Errorf("%d lines: %s", got.Count, diff)
	}
	if _, err := Text(bytes.Repeat([]byte("\n"), 1000), TextOptions{MaxLine: noLimit, MaxBytes: 5000}); !errors.Is(err, logservice.ErrTooLarge) {
		t.Errorf("a text that grows past its bound: %v", err)
	}
	cut, err := Text([]byte("short\n"+strings.Repeat("é", 500)+"\n"), TextOptions{Time: now, MaxLine: 200, MaxBytes: noLimit})
	if err != nil || !bytes.Contains(cut.Data, []byte(`"truncated":1001}`)) || cut.Count != 2 {
		t.Errorf("a long line: %s, %v", cut.Data, err)
	}
}

func TestABodyThatGrowsWithoutBoundIsRefused(t *testing.T) {
	body := []byte(`[{"a":"` + strings.Repeat("\xff", maxGrowth) + `"}]`)
	if _, err := Array(body, noLimit); !errors.Is(err, logservice.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestNDJSONWithoutALastBreakUsesTheSpareByte(t *testing.T) {
	body := append(make([]byte, 0, 64), "{\"a\":1}\n{\"b\":2}"...)
	got, err := NDJSON(body, noLimit)
	if err != nil || string(got.Data) != "{\"a\":1}\n{\"b\":2}\n" || unsafe.SliceData(got.Data) != &body[0] {
		t.Errorf("got %q, %v", got.Data, err)
	}
}
