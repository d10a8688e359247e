package drone

import (
	"bytes"
	"testing"
	"time"
)

func TestSecondsSinceTheBeginningBecomeRealTimes(t *testing.T) {
	began := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for in, want := range map[string]string{
		`{"pos":0,"out":"a","time":0}`:              `{"pos":0,"out":"a","time":"2026-01-02T15:04:05Z","elapsed":0}`,
		`{"time": 61 ,"out":"\"time\":1"}`:          `{"time": "2026-01-02T15:05:06Z","elapsed":61 ,"out":"\"time\":1"}`,
		`{"out":"x","time":1.5}`:                    `{"out":"x","time":"2026-01-02T15:04:06.5Z","elapsed":1.5}`,
		`{"time":"2020-01-01T00:00:00Z","out":"x"}`: `{"time":"2020-01-01T00:00:00Z","out":"x"}`,
		`{"time":1767366245123}`:                    `{"time":1767366245123}`,
		`{"time":-1}`:                               `{"time":-1}`,
		`{"time":null,"args":{"time":3}}`:           `{"time":null,"args":{"time":3}}`,
		`{"out":"no time"}`:                         `{"out":"no time"}`,
		`{}`:                                        `{}`,
	} {
		if got, n := absolute([]byte(in+"\n"), began); string(got) != want+"\n" || n != 1 {
			t.Errorf("%s became %s (%d), want %s", in, got, n, want)
		}
	}
	text := `{"time":1}` + "\n" + `{"time":0.25}` + "\n"
	if got, n := absolute([]byte(text), began); n != 2 || bytes.Count(got, []byte("\n")) != 2 || bytes.Count(got, []byte("elapsed")) != 2 {
		t.Errorf("two lines became %q", got)
	}
	block := `{"pos":0,"out":"a\n","time":1}` + "\n" + `{"pos":1,"out":"\n","time":1}` + "\n" + `{"pos":2,"out":"","time":1}` + "\n"
	if got, n := absolute([]byte(block), began); n != 2 || bytes.Contains(got, []byte(`"pos":2`)) {
		t.Errorf("a block of two lines became %d: %q", n, got)
	}
	if d := elapsed([]byte(text)); d != time.Second {
		t.Errorf("the last of them is %v in, want 1s", d)
	}
}

func TestALineSaysWhenItsWriterBegan(t *testing.T) {
	began := time.Date(2026, 1, 2, 15, 4, 5, 123e6, time.UTC)
	for _, in := range []string{`{"time":0}`, `{"out":"x","time":1.5}`, `{"time":70000,"pos":3}`} {
		line, _ := absolute([]byte(in+"\n"), began)
		if got, ok := beginning(line); !ok || !got.Equal(began) {
			t.Errorf("%s: %v, %v; want %v", line, got, ok, began)
		}
	}
	for _, in := range []string{`{}`, `{"time":"2026-01-02T15:04:05Z"}`, `{"elapsed":3}`, `{"time":"x","elapsed":3}`, `{"time":"2026-01-02T15:04:05Z","elapsed":"3"}`} {
		if got, ok := beginning([]byte(in + "\n")); ok {
			t.Errorf("%s: %v, want that it does not say", in, got)
		}
	}
}
