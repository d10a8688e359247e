package logs

import (
	"testing"
	"time"
)

func TestAClockThatJumpsAheadMakesNoLogOld(t *testing.T) {
	begun := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		passed      time.Duration
		clock, want time.Time
	}{
		"as it should be": {time.Hour, begun.Add(time.Hour), begun.Add(time.Hour)},
		"a year ahead":    {time.Hour, begun.AddDate(1, 0, 0), begun.Add(time.Hour)},
		"a year back":     {time.Hour, begun.AddDate(-1, 0, 0), begun.AddDate(-1, 0, 0)},
	} {
		if got := earlier(begun, tc.passed, tc.clock); !got.Equal(tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
