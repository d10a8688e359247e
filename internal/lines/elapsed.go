package lines

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// maxElapsed is the largest number, in seconds, that counts from the beginning
// of a step: three years. What is larger is a point in time.
const maxElapsed = 1e8

// Since returns the lines of data, which is as Batch.Data, with real times:
// where a line's time is a number of seconds since its writer began, it
// becomes that point in time, and the number is kept as the member elapsed.
func Since(data []byte, began time.Time) []byte {
	out := make([]byte, 0, len(data)+len(data)/4)
	for line := range bytes.Lines(data) {
		done := 0 // of line
		for _, m := range members(line) {
			if m.name != "time" {
				continue
			}
			d, ok := elapsed(m.value)
			if !ok {
				continue
			}
			out = append(append(out, line[done:m.at]...), '"')
			out = began.Add(d).UTC().AppendFormat(out, time.RFC3339Nano)
			out = append(append(out, `","elapsed":`...), m.value...)
			done = m.at + len(m.value)
		}
		out = append(out, line[done:]...)
	}
	return out
}

// Began is when the writer of a log began to count, by a line as Since wrote
// it. Ok is false for a line that does not say.
func Began(line []byte) (began time.Time, ok bool) {
	var at time.Time
	var since time.Duration
	for _, m := range members(line) {
		switch m.name {
		case "time":
			if at.UnmarshalJSON(m.value) != nil {
				return time.Time{}, false
			}
		case "elapsed":
			if since, ok = elapsed(m.value); !ok {
				return time.Time{}, false
			}
		}
	}
	return at.Add(-since), ok && !at.IsZero()
}

// Elapsed is the largest time of the lines of data that counts seconds since
// their writer began; zero where none does.
func Elapsed(data []byte) (most time.Duration) {
	for line := range bytes.Lines(data) {
		for _, m := range members(line) {
			if d, ok := elapsed(m.value); ok && m.name == "time" {
				most = max(most, d)
			}
		}
	}
	return most
}

func elapsed(v []byte) (time.Duration, bool) {
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil || n < 0 || n > maxElapsed {
		return 0, false
	}
	return time.Duration(math.Round(n * float64(time.Second))), true
}
