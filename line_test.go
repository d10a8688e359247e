package logservice

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLinesAreReadAsRealClientsWriteThem(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, in string
		want     Line
	}{
		{"a Go runner", `{"level":"info","pos":3,"out":"hi\n","time":"2026-01-02T15:04:05Z","args":null}`,
			Line{Level: "info", Pos: 3, Out: "hi\n", Time: at}},
		{"a Java delegate, milliseconds", `{"level":"INFO","pos":0,"out":"hi","time":1767366245000,"args":{"a":"b"}}`,
			Line{Level: "INFO", Out: "hi", Time: at, Args: map[string]string{"a": "b"}}},
		{"seconds", `{"out":"hi","time":1767366245}`, Line{Out: "hi", Time: at}},
		{"no member at all", `{}`, Line{Out: "{}"}},
		{"a program's own JSON", `{"level":"info", "msg":"server started","ts":1}`, Line{Level: "info", Out: `{"level":"info", "msg":"server started","ts":1}`}},
		{"go test -json", `{"Time":"2026-01-02T15:04:05Z","Action":"output","Output":"ok\n"}`, Line{Out: `{"Time":"2026-01-02T15:04:05Z","Action":"output","Output":"ok\n"}`}},
		{"Docker", `{"log":"hi\n","stream":"stdout","time":"2026-01-02T15:04:05.000000000Z"}`,
			Line{Out: `{"log":"hi\n","stream":"stdout","time":"2026-01-02T15:04:05.000000000Z"}`, Time: at}},
		{"another case of out", `{"Out":"x"}`, Line{Out: `{"Out":"x"}`}},
		{"no text", `{"out":null,"pos":1}`, Line{Pos: 1}},
		{"a piece", `{"out":"hi","partial":true}`, Line{Out: "hi", Partial: true}},
		{"a zone without colon", `{"out":"hi","time":"2026-01-02T16:04:05+0100"}`, Line{Out: "hi", Time: at}},
		{"members of other types", `{"level":7,"pos":"x","out":{"a":1},"time":true,"args":[1]}`,
			Line{Level: "7", Out: `{"a":1}`}},
		{"a time nobody can read", `{"out":"hi","time":"yesterday"}`, Line{Out: "hi"}},
		{"a cut line", `{"out":"hi","truncated":12345}`, Line{Out: "hi", Truncated: 12345}},
		{"a gap", `{"gap":{"first":5,"last":9},"out":"[5 lines lost]\n"}`,
			Line{Out: "[5 lines lost]\n", Gap: &Gap{First: 5, Last: 9}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got Line
			if err := json.Unmarshal([]byte(c.in), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	var l Line
	for _, other := range []string{`["a"]`, `"a"`, `1`} {
		if err := json.Unmarshal([]byte(other), &l); err == nil {
			t.Errorf("%s was read as a line", other)
		}
	}
}
