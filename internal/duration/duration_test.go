package duration

import (
	"testing"
	"time"
)

func TestDurationsMayHaveDays(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "-5m": -5 * time.Minute, "10ms": 10 * time.Millisecond,
		"1d": 24 * time.Hour, "2.5d": 60 * time.Hour, "1d12h": 36 * time.Hour, "1w": 7 * 24 * time.Hour, "1w1d1h": 8*24*time.Hour + time.Hour, "-1d": -24 * time.Hour,
	} {
		if got, err := Parse(in); got != want || err != nil {
			t.Errorf("%s is %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-", "d", "1", "1x", "1.2.3d", "1d2", "--1d", "1 d", "1e3s", "1000000000000w", "200w200000w", "yesterday"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("%q is %v", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1h30m")
	f.Add("-1.5d")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		want, wantErr := time.ParseDuration(s)
		if wantErr == nil && s[0] != '+' && want > 0 && (err != nil || got-want > 1 || want-got > 1) {
			t.Errorf("%q is %v, %v; time.ParseDuration says %v", s, got, err, want)
		}
	})
}
