package client

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
)

func lineSeeds() []string {
	return []string{
		`{"level":"info","pos":0,"out":"text\n","time":"2026-01-02T15:04:05Z","args":null}`,
		` { "out" : "a\"\\\/\b\f\n\r\t" , "pos" : 12 , "level" : "WARN" , "time" : "2026-01-02T15:04:05.123+02:00" } `,
		`{"out":"\u00e9\ud83d\ude00","pos":-1,"args":{"a":"b"}}`, `{}`, `{"out":null,"level":null,"pos":null,"time":null}`,
		`{"pos":1.5,"out":7,"time":1700000000123,"level":["x"]}`, `{"Out":"x","extra":1}`, `{"out":"a","out":"b"}`,
		`{"args":{"a":"b"},"args":null}`, `{"pos":00}`, `{"pos":1e3}`, `{"pos":123456789012345678901}`, `{"out":"a",}`, `{"out":"a"}x`,
		`{"out":"\"`, `{"time":"yesterday"}`, "{\"out\":\"\xff\"}", "{\"out\":\"\\\xc3\xa9\"}", "{\"out\":\"a\nb\"}", `[]`, `null`, ``,
		`{"truncated":9,"gap":{"first":1,"last":2},"out":"[2 lines lost]\n"}`,
	}
}

func TestBothDecodersAgree(t *testing.T) {
	for _, seed := range lineSeeds() {
		compareDecoding(t, []byte(seed))
	}
}

func FuzzDecodeLine(f *testing.F) {
	for _, seed := range lineSeeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(compareDecoding)
}

func compareDecoding(t *testing.T, data []byte) {
	var want, got logservice.Line
	wantErr := json.Unmarshal(data, &want)
	gotErr := decodeLine(data, &got)
	if (wantErr == nil) != (gotErr == nil) {
		t.Fatalf("%q: error %v, want %v", data, gotErr, wantErr)
	}
	if wantErr != nil {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q (-want +got)\n%s", data, diff)
	}
}

func TestAWritersLineIsDecodedWithOneAllocation(t *testing.T) {
	line := appendLine(nil, 7, piece{level: "info", at: time.Now(), text: []byte("some text \"quoted\"\n")})
	var l logservice.Line
	allocations := testing.AllocsPerRun(100, func() {
		if err := decodeLine(line, &l); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 1 {
		t.Errorf("%v allocations", allocations)
	}
}

func FuzzEncodeLine(f *testing.F) {
	f.Add("info", "text\n", "k", "v")
	f.Add("", "\x00\x1f\"\\\u2028é\xff\xc3", "\n", "")
	f.Fuzz(func(t *testing.T, level, text, name, value string) {
		at := time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.UTC)
		data := appendLine(nil, 3, piece{level: level, at: at, text: []byte(text), args: appendArgs(nil, map[string]string{name: value})})
		if bytes.ContainsAny(data, "\r\n") || !utf8.Valid(data) {
			t.Fatalf("%q is not one line of UTF-8", data)
		}
		var got logservice.Line
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		valid := func(s string) string { return string([]rune(s)) }
		want := logservice.Line{Level: valid(level), Pos: 3, Out: valid(text), Time: at, Args: map[string]string{valid(name): valid(value)}, Replaced: lines.InvalidBytes([]byte(text))}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBytesThatAreNotUTF8AreCounted(t *testing.T) {
	var l logservice.Line
	if err := decodeLine(appendLine(nil, 0, piece{text: []byte("caf\xe9 \xffé\n")}), &l); err != nil || l.Replaced != 2 || l.Out != "caf\uFFFD \uFFFDé\n" {
		t.Errorf("%+v, %v", l, err)
	}
}
