package logservice

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"
)

func TestTimesAreReadAsRealClientsWriteThem(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	ms, us, ns := at.Add(123*time.Millisecond), at.Add(123456*time.Microsecond), at.Add(123456789)
	unknown := time.Time{}
	for _, c := range []struct {
		value string
		want  time.Time
	}{
		{`"2026-01-02T15:04:05Z"`, at},
		{`"2026-01-02T15:04:05.123456789Z"`, ns},
		{`"2026-01-02T15:04:05.1234567891Z"`, ns},
		{`"2026-01-02T16:04:05+01:00"`, at},
		{`"2026-01-02T16:04:05+0100"`, at},
		{`"2026-01-02T16:04:05+01"`, at},
		{`"2026-01-02T16:04:05\u002b0100"`, at},
		{`"2026-01-02T09:34:05.123-05:30"`, ms},
		{`"2026-01-02 15:04:05"`, at},
		{`"2026-01-02 15:04:05,123"`, ms},
		{`"2026-01-02 15:04:05.123 +0000 UTC"`, ms},
		{`"2026-01-02 16:04:05 +01:00"`, at},
		{`"2026-01-02 15:04:05 UTC"`, at},
		{`"2026/01/02 15:04:05"`, at},
		{`"2026-01-02t15:04:05z"`, at},
		{`"2026-01-02T16:04:05+01:00[Europe/Paris]"`, at},
		{`"2026-01-02T15:04Z"`, at.Add(-5 * time.Second)},
		{`"2026-01-02"`, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)},
		{`"2016-12-31T23:59:60Z"`, time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC)},
		{`1767366245`, at},
		{`1767366245123`, ms},
		{`1767366245123456`, us},
		{`1767366245123456789`, ns},
		{`"1767366245"`, at},
		{`"1767366245123"`, ms},
		{`"1767366245123456"`, us},
		{`"1767366245123456789"`, ns},
		{`1767366245.123`, ms},
		{`"1767366245.123456789"`, ns},
		{`1767366245123.456`, us},
		{`1.767366245123E9`, ms},
		{`1.767366245123456e+15`, us},
		{`17673662451230e-1`, ms},
		{`000001767366245`, at},
		{`999999999`, time.Unix(999999999, 0)},
		{`999999999999`, time.UnixMilli(999999999999)},
		{`[2026,1,2,15,4,5,123456789]`, ns},
		{`[2026,1,2,15,4,5]`, at},
		{`[2026,1,2,15,4]`, at.Add(-5 * time.Second)},
		{` [2026, 1, 2, 15, 4, 5, 0]`[1:], at},

		{``, unknown},
		{`null`, unknown},
		{`true`, unknown},
		{`""`, unknown},
		{`"`, unknown},
		{`0`, unknown},
		{`"0"`, unknown},
		{`5`, unknown}, // elapsed
		{`0.5`, unknown},
		{`-1767366245`, unknown},
		{`"0001-01-01T00:00:00Z"`, unknown},
		{`"yesterday"`, unknown},
		{`"2026-02-30T00:00:00Z"`, unknown},
		{`"2026-13-01T00:00:00Z"`, unknown},
		{`"2026-01-00T00:00:00Z"`, unknown},
		{`"2026-01-02T24:04:05Z"`, unknown},
		{`"2026-01-02T15:04:05+1"`, unknown},
		{`"2026-01-02T15:04:05.Z"`, unknown},
		{`"2026-01-02T15:04:05Zulu"`, unknown},
		{`"2026-01/02"`, unknown},
		{`1e99`, unknown},
		{`1e`, unknown},
		{`999999999999999999999`, unknown},
		{`[2026,1]`, unknown},
		{`[2026,1,32]`, unknown},
		{`[2026,1,2,15,4,5,1000000000]`, unknown},
		{`[2026,1,2,15,4,5,-1]`, unknown},
		{`["2026",1,2]`, unknown},
		{`{"seconds":1}`, unknown},
	} {
		got, ok := ParseTime([]byte(c.value))
		if !got.Equal(c.want) || ok == c.want.IsZero() {
			t.Errorf("%s: got %v, %v; want %v", c.value, got, ok, c.want)
		}
	}
}

func FuzzTimesAreReadExactlyOrNotAtAll(f *testing.F) {
	for _, s := range []string{`"2026-01-02 15:04:05,123"`, `1767366245.5`, `[2026,1,2]`, `"2026-01-02T16:04:05+0100"`, `"\`, `1e3`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got, ok := ParseTime(value)
		if ok == got.IsZero() {
			t.Fatalf("%q: %v, %v", value, got, ok)
		}
		// What the standard library reads is read alike.
		var want time.Time
		if json.Unmarshal(value, &want) == nil && !want.IsZero() && (!ok || !got.Equal(want)) {
			t.Errorf("%q: got %v, %v; want %v", value, got, ok, want)
		}
		if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && ok && n >= 1e8 && n < 1e11 && got.Unix() != n {
			t.Errorf("%q: got %v", value, got)
		}
		if !ok {
			return
		}
		// And what was read can be written and read again.
		text, err := json.Marshal(got)
		if again, ok := ParseTime(text); err == nil && (!ok || !again.Equal(got)) {
			t.Errorf("%q: %s was read as %v", value, text, again)
		}
	})
}
